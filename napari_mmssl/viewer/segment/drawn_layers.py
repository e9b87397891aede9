"""What was drawn of a case, as layers: the label map, where the network is unsure, and how it differs."""

from typing import Any

import numpy as np
from napari.layers import Labels
from qtpy.QtWidgets import QCheckBox, QGridLayout

from napari_mmssl.viewer.layers.case_view import CaseView
from napari_mmssl.viewer.layers.layer_data import METADATA_KEY, LayerTuple, Origin, image_layer, labels_layer
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.segment.drawn import Drawn
from napari_mmssl.viewer.writers import PREDICTION_ROLE
from napari_mmssl.volumes.volume import LabelMap, Volume
from napari_mmssl.workflows.difference import Difference

CORRECTED_ROLE = "corrected"
DIFFERENCE_ROLE = "difference"
UNSURE_ROLE = "uncertainty"
PROBABILITY = "probability "


class SegmentLayers:
    """Lays what was drawn over the case; boxes in ``panel`` show and hide what is not the label map itself."""

    def __init__(self, panel: Panel) -> None:
        self._view = CaseView(panel.viewer)
        self._boxes: dict[str, QCheckBox] = {
            DIFFERENCE_ROLE: panel.part(
                QCheckBox("difference"),
                "show_difference",
                "Against the reference: blue is missed, orange added",
            ),
            UNSURE_ROLE: panel.part(
                QCheckBox("uncertainty"), "show_uncertainty", "Entropy of the classes: 0 sure, 1 all classes alike"
            ),
            PROBABILITY: panel.part(QCheckBox("probabilities"), "show_probabilities", "How probable each class is"),
        }
        for role, box in self._boxes.items():
            box.toggled.connect(lambda on, role=role: self._set_visible(role, on))
        self._enable()

    def add_to(self, panel: Panel) -> None:
        """Add the boxes to the column of ``panel``."""
        row = QGridLayout()
        for n, box in enumerate(self._boxes.values()):
            row.addWidget(box, 0, n)
        panel.column.addLayout(row)

    def show(self, drawn: Drawn) -> Labels:
        """Show ``drawn`` in place of what was shown of this kind; return the layer with its label map."""
        case = drawn.case.id
        self.clear()
        for name, volume in drawn.probabilities.items():
            self._add(_share(volume, f"{PROBABILITY}{name} · {case}", drawn, f"{PROBABILITY}{name}", "viridis"))
        if drawn.entropy is not None:
            self._add(_share(drawn.entropy, f"uncertainty · {case}", drawn, UNSURE_ROLE, "inferno"))
        name = f"prediction · {case}" if drawn.record or drawn.without else f"prediction ({drawn.file.name}) · {case}"
        layer = self._add(labels_layer(drawn.labels, name, path=drawn.file, case=case, role=PREDICTION_ROLE))
        reference = self._view.of_role("label")
        #: Whether the case has a label map of its own beside what was drawn.
        self.has_reference = reference is not None
        if reference is not None:
            # Two filled maps over each other mix their colours; the reference becomes an outline.
            reference.contour = 1
        self._view.go_to_labels(layer)
        self._enable()
        return layer

    def show_difference(self, difference: Difference | None, drawn: Drawn) -> None:
        """Show where a label map differs from the reference, hidden until asked for; nothing if it is ``None``."""
        if difference is None:
            self._view.remove_roles([DIFFERENCE_ROLE])
        else:
            case = drawn.case.id
            data, state, kind = labels_layer(difference.where, f"difference · {case}", case=case, role=DIFFERENCE_ROLE)
            shown = {"visible": self._boxes[DIFFERENCE_ROLE].isChecked(), "opacity": 0.8}
            layer = self._add((data, state | shown, kind))
            layer.editable = False
        self._enable()

    def begin_correction(self, layer: Labels, drawn: Drawn) -> Labels:
        """Return a copy of ``layer`` to paint on; what was drawn becomes an outline that is kept as it is."""
        begun = self._view.of_role(CORRECTED_ROLE)
        if begun is not None:
            # Work of a person on this case: it goes on, whatever was drawn anew since.
            return begun
        case = drawn.case.id
        copied = LabelMap(drawn.labels.array.copy(), drawn.labels.geometry, drawn.labels.classes)
        data, state, kind = labels_layer(copied, f"corrected · {case}", path=None, case=case, role=CORRECTED_ROLE)
        # What was painted before on the prediction itself comes along.
        np.copyto(data, layer.data)
        corrected = self._add((data, state, kind))
        known = [one.value for one in corrected.metadata[METADATA_KEY].classes]
        if known and corrected.selected_label not in known:
            # napari's brush begins with 1, which need not be a class: of organs, 5 may be the only one.
            corrected.selected_label = known[0]
        layer.contour = 1
        return corrected

    def clear(self) -> None:
        """Take away what was drawn; what a person painted stays where :class:`CaseView` sets it aside."""
        roles = [origin.role for _, origin in self._view.ours()]
        extra = [role for role in roles if role and role.startswith((PROBABILITY, DIFFERENCE_ROLE, UNSURE_ROLE))]
        self._view.remove_roles(dict.fromkeys(extra))
        self._enable()

    def refresh(self) -> None:
        """Offer what there is."""
        self._enable()

    def _add(self, layer_tuple: LayerTuple) -> Any:
        return self._view.add(layer_tuple)

    def _of(self, role: str) -> list[Any]:
        return [layer for layer, origin in self._view.ours() if (origin.role or "").startswith(role)]

    def _set_visible(self, role: str, on: bool) -> None:
        for layer in self._of(role):
            layer.visible = on

    def _enable(self) -> None:
        for role, box in self._boxes.items():
            box.setEnabled(bool(self._of(role)))
            for layer in self._of(role):
                layer.visible = box.isChecked()


def _share(volume: Volume, name: str, drawn: Drawn, role: str, colours: str) -> LayerTuple:
    """Return a map of values from 0 to 1, hidden until it is asked for; below 0.1 the scan alone is seen."""
    data, state, kind = image_layer(volume, name, path=None, case=drawn.case.id, role=role)
    origin: Origin = state["metadata"][METADATA_KEY]
    seen = {"contrast_limits": (0.1, 1.0), "colormap": colours, "blending": "additive", "opacity": 0.7}
    return data, state | seen | {"visible": False, "metadata": {METADATA_KEY: origin}}, kind
