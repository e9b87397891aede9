"""Find the templates that a pretraining learned, or that a fine-tuning took along."""

from pathlib import Path

from napari_mmssl.networks.template_shelf import TemplateShelf, shelf_from
from napari_mmssl.training.weights_cards import read_card, weights_folder
from napari_mmssl.training.weights_files import read_weights

_OBJECTIVE = "template_distillation"
#: What cards of pretrainings did not say before they held the objectives' settings.
_MARGIN, _SPEED = 0.1, 10.0


def read_shelf(weights: Path) -> TemplateShelf | None:
    """Return the templates in ``weights`` (a run folder or a weights folder), or ``None`` if there are none.

    Raises
    ------
    CheckpointError
        If there is a file of them and it is damaged.
    """
    card = read_card(weights)
    if "templates" in card:
        return shelf_from(read_weights(weights, "templates"), card["templates"])
    if not (weights_folder(weights) / f"objective.{_OBJECTIVE}.safetensors").is_file():
        return None
    settings = card.get("objectives", {}).get(_OBJECTIVE, {})
    volumes = read_weights(weights, f"objective.{_OBJECTIVE}")["templates.parameter"]
    return TemplateShelf(
        volumes * float(settings.get("speed", _SPEED)), card["modalities"], float(settings.get("margin", _MARGIN))
    )
