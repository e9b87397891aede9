"""Cases read on threads before they are asked for, so that the next one is there when a person wants it."""

from collections.abc import Callable, Mapping, Sequence

from napari_mmssl.cohorts.case import Case
from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.reading import Opened, read_case


class ReadAhead:
    """Reads cases of one cohort; what is not wanted any more is forgotten."""

    def __init__(
        self, panel: Panel, arrived: Callable[[Case, Opened], None], failed: Callable[[Case, str], None]
    ) -> None:
        self._panel, self._arrived, self._failed = panel, arrived, failed
        self._layout = ""
        self._label_names: Mapping[int, str] = {}
        self._kept: dict[str, Opened] = {}
        self._reading: set[str] = set()
        self._wanted: dict[str, Case] = {}
        self._generation = 0

    def start(self, layout: str, label_names: Mapping[int, str]) -> None:
        """Begin anew, with the cases of a cohort in ``layout`` whose labels it calls ``label_names``."""
        self._layout, self._label_names = layout, label_names
        self._generation += 1
        self._kept.clear()
        self._reading.clear()
        self._wanted.clear()

    def has(self, case: Case) -> bool:
        """Whether ``case`` has been read."""
        return case.id in self._kept

    def take(self, case: Case) -> Opened | None:
        """Return ``case`` if it has been read, and forget it: its arrays belong to the layers now."""
        return self._kept.pop(case.id, None)

    def want(self, cases: Sequence[Case]) -> None:
        """Read these, the first one first; forget others, one at a time on two cores is fastest for the first."""
        self._wanted = {case.id: case for case in cases}
        self._kept = {case_id: opened for case_id, opened in self._kept.items() if case_id in self._wanted}
        self._read_next()

    def _read_next(self) -> None:
        if self._reading:
            return
        left = [case for case in self._wanted.values() if case.id not in self._kept]
        if left:
            self._read(left[0])

    def _read(self, case: Case) -> None:
        self._reading.add(case.id)
        layout, names, generation = self._layout, self._label_names, self._generation
        self._panel.in_thread(
            lambda: read_case(case, layout, names),
            lambda opened: self._came(case, generation, opened),
            lambda sentence: self._broke(case, generation, sentence),
        )

    def _came(self, case: Case, generation: int, opened: Opened) -> None:
        if generation != self._generation:
            return
        self._reading.discard(case.id)
        if case.id in self._wanted:
            self._kept[case.id] = opened
            self._arrived(case, opened)
        self._read_next()

    def _broke(self, case: Case, generation: int, sentence: str) -> None:
        if generation != self._generation:
            return
        self._reading.discard(case.id)
        # Tried once: whoever asks again hears of it again.
        self._wanted.pop(case.id, None)
        self._failed(case, sentence)
        self._read_next()
        self._read_next()
