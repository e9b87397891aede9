"""Label maps by a person and by a program: the person's is used, the program's only where there is none, and said."""

from napari_mmssl.cohorts.case import Finding
from napari_mmssl.cohorts.found import FoundFile


def prefer_drawn(drawn: FoundFile | None, automatic: FoundFile | None) -> tuple[FoundFile | None, tuple[Finding, ...]]:
    """Return the label map that is used, and a finding if a program made it or a program's was left out."""
    if drawn is not None and automatic is not None:
        text = f"{_named(automatic)} was made by a program and is left out: a person drew {_named(drawn)}"
        return drawn, (Finding("label_candidates", text),)
    if automatic is not None:
        text = f"the label map {_named(automatic)} was made by a program; nobody drew one"
        return automatic, (Finding("label_candidates", text),)
    return drawn, ()


def _named(file: FoundFile) -> str:
    """Return the name with its folder: both may be called after the case alone."""
    return f"'{file.path.parent.name}/{file.path.name}'"
