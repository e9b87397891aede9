"""Whether the weights that a run left are those that somebody asks for. Knows no Qt and no napari."""

from pathlib import Path

from napari_mmssl.errors import MmsslError
from napari_mmssl.training.weights_cards import read_card


def weights_problem(path: Path, kind: str) -> str | None:
    """Return why the weights in ``path`` are not those of a ``kind`` of training, or ``None`` if they are."""
    try:
        card = read_card(path)
    except MmsslError as error:
        return str(error)
    found = card.get("kind")
    if kind == "finetune" == found and card.get("task") != "segmentation":
        return f"'{path.name}' holds a {card.get('task')}, which draws no label maps; mmssl predict tells its values"
    return None if found == kind else f"'{path.name}' holds the weights of a {found}, and a {kind} is wanted"
