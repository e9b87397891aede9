"""What all our dock widgets are made of: a column in a scroll area, named and explained parts, work in a thread."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from napari.utils.notifications import show_info
from qtpy.QtCore import QEvent, Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QStyle,
    QVBoxLayout,
    QWidget,
)

from napari_mmssl.viewer.parts.background import in_thread
from napari_mmssl.viewer.parts.docking import join
from napari_mmssl.viewer.parts.listening import Listening
from napari_mmssl.viewer.session import plain, session_of

#: Least width of a number field in pixels.
_NARROW = 56
#: A panel asks for so many pixels; below the first, names of encoders and sides are cut.
_NARROWEST, _WIDEST = 345, 360


class _Column(QWidget):
    """A column that is never lower than its parts: a scroll area asks without a width, so wrapped text is forgotten."""

    def event(self, event: QEvent) -> bool:
        done = bool(super().event(event))
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize):
            height = max(0, self.layout().minimumHeightForWidth(self.width()))
            if height != self.minimumHeight():
                self.setMinimumHeight(height)
        return done


class Sentence(QLabel):
    """A line of text that takes no room while it says nothing."""

    def setText(self, words: str) -> None:
        """Say ``words``."""
        super().setText(words)
        self.setVisible(bool(words))


class Panel(QWidget):
    """A dock widget: a column that scrolls when the dock is low, on one viewer and its session.

    Parameters
    ----------
    napari_viewer
        The viewer, as napari hands it to widgets.
    name
        Object name, by which tests and style sheets find the widget.
    """

    def __init__(self, napari_viewer: Any, name: str) -> None:
        super().__init__()
        # napari hands out a proxy, another object at each access; layers are told apart by identity here.
        self.viewer = plain(napari_viewer)
        self.session = session_of(self.viewer)
        self.setObjectName(name)
        inner = _Column()
        self.column = QVBoxLayout(inner)
        self.column.setContentsMargins(4, 4, 4, 4)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inner)
        self._inner = inner
        # Qt does not bear that docks are moved while it shows one.
        self._join = QTimer(self, singleShot=True)
        self._join.timeout.connect(lambda: join(self, Panel))
        self._was_shown = False
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self._listening = Listening(self)
        self._listening.closed(self.removed)
        # napari takes a widget out of its dock and forgets it; Qt would keep it, with its timers and plots.
        self._listening.closed(self.deleteLater)

    def listen(self, emitter: Any, callback: Callable[..., Any]) -> None:
        """Call ``callback`` at each emission, until the dock is closed for good."""
        self._listening.on(emitter, callback)

    def at_end(self, callback: Callable[[], Any]) -> None:
        """Call ``callback``, which must touch no widget, once the dock or the window is closed."""
        self._listening.undo(callback)

    def part(self, widget: Any, name: str, tip: str = "") -> Any:
        """Return ``widget`` with its object name and tooltip set."""
        widget.setObjectName(name)
        if isinstance(widget, QComboBox):
            # Long entries are read in the list; the dock may be narrow.
            widget.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            widget.setMinimumContentsLength(4)
        if isinstance(widget, QAbstractSpinBox):
            widget.setMinimumWidth(_NARROW)
        if tip:
            widget.setToolTip(tip)
            widget.setAccessibleDescription(tip)
        return widget

    def form(self) -> QFormLayout:
        """Add a form to the column and return it; labels go above fields where the dock is narrow."""
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.column.addLayout(form)
        return form

    @contextmanager
    def group(self) -> Iterator[QWidget]:
        """Draw what follows into a widget of its own, which is shown and hidden as a whole."""
        outer, group = self.column, QWidget()
        outer.addWidget(group, 1)
        self.column = QVBoxLayout(group)
        self.column.setContentsMargins(0, 0, 0, 0)
        try:
            yield group
        finally:
            self.column = outer

    def told(self, name: str, nothing: str, tip: str) -> QLineEdit:
        """Return a field that tells what was chosen by other means, and ``nothing`` until something was."""
        field: QLineEdit = self.part(QLineEdit(), name, tip)
        field.setReadOnly(True)
        field.setPlaceholderText(nothing)
        return field

    def case_field(self) -> QLineEdit:
        """Return the field that tells which case is open."""
        return self.told("case", "open a case in Cases", "The case that is open; chosen in the Cases widget")

    def row(self, *widgets: QWidget, wide: QWidget | None = None) -> None:
        """Add ``widgets`` to the column, side by side; ``wide`` takes the room that is left, else all share it."""
        self.column.addLayout(beside(*widgets, wide=wide))

    def button(self, words: str, name: str, tip: str, clicked: Callable[[], Any], shortcut: str = "") -> QPushButton:
        """Return a button that calls ``clicked``, which gets no argument; its keys stand in its tooltip."""
        button: QPushButton = self.part(QPushButton(words), name, f"{tip} ({shortcut})" if shortcut else tip)
        button.clicked.connect(lambda _checked=False: clicked())
        if shortcut:
            button.setShortcut(shortcut)
        return button

    def text(self, name: str, words: str = "") -> QLabel:
        """Add a line of text that wraps, and return it."""
        label = Sentence(words)
        label.setWordWrap(True)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        # A long path without spaces must not make the dock wide.
        label.setMinimumWidth(1)
        self.column.addWidget(self.part(label, name))
        label.setVisible(bool(words))
        return label

    def in_thread(self, work: Callable[[], Any], done: Callable[[Any], None], failed: Callable[[str], None]) -> None:
        """Run ``work`` on one of napari's threads; see :func:`napari_mmssl.viewer.parts.background.in_thread`."""
        name = f"{self.objectName()} at work"
        in_thread(work, done, failed, name=name, unwanted=lambda: self._listening.over)

    def tell(self, notes: list[str]) -> None:
        """Show each sentence as a notification."""
        for note in notes:
            show_info(note)

    def removed(self) -> None:
        """Called when the dock is closed for good; jobs that go on by themselves are spoken of here."""

    def showEvent(self, event: Any) -> None:
        """Ask for the width the column needs, which a scroll area does not tell its dock."""
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
        wanted = self._inner.minimumSizeHint().width() + bar
        self.setMinimumWidth(min(max(wanted, _NARROWEST), _WIDEST))
        super().showEvent(event)
        if not self._was_shown:
            # Later it stays where a person has put it.
            self._was_shown = True
            self._join.start()


def beside(*widgets: QWidget, wide: QWidget | None = None) -> QHBoxLayout:
    """Return a layout of ``widgets`` side by side, for a form; ``wide`` takes the room that is left."""
    row = QHBoxLayout()
    for widget in widgets:
        row.addWidget(widget, int(widget is wide))
    return row
