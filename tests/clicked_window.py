"""The viewer's workspace, and somebody who clicks in it, with mouse and keyboard, at what stands on the screen."""

from pathlib import Path

from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QComboBox,
    QFileDialog,
    QLabel,
    QLineEdit,
    QPushButton,
    QTabBar,
    QWidget,
)

from napari_mmssl.viewer.parts.docking import dock_name
from napari_mmssl.viewer.workspace import WIDGETS, open_workspace

LEFT = Qt.MouseButton.LeftButton


class ClickedWindow:
    """A viewer of 1280 x 800 with all widgets open; only the system's file dialogs are answered for the person.

    ``pictures`` is where :meth:`look` leaves what the window shows, for whoever wants to see what a test saw.
    """

    def __init__(self, viewer, qtbot, monkeypatch, pictures: Path):
        self.viewer, self._qtbot, self._monkeypatch, self._pictures = viewer, qtbot, monkeypatch, pictures
        viewer.window.resize(1280, 800)
        viewer.window.activate()
        open_workspace(viewer)
        self.widgets = {name: self._widget(name) for name in WIDGETS}
        self.session = self["Cases"].session
        self._looks = 0

    def __getitem__(self, name) -> QWidget:
        return self.widgets[name] if name in WIDGETS else self._widget(name)

    def _widget(self, name):
        return self.viewer.window.dock_widgets[dock_name(name)]

    def part(self, widget, kind, name):
        return self[widget].findChild(kind, name)

    def words(self, widget, name="state"):
        return self.part(widget, QLabel, name).text()

    def turn_to(self, name):
        """Click on the tab of a widget."""
        bars = self["Cases"].window().findChildren(QTabBar)
        bar, tab = next((bar, n) for bar in bars for n in range(bar.count()) if bar.tabText(n) == name)
        self._qtbot.mouseClick(bar, LEFT, pos=bar.tabRect(tab).center())
        self.until(self[name].isVisible)

    def click(self, widget, name, kind=QPushButton):
        """Click on a button once it can be clicked; one out of sight is scrolled to."""
        button = self.part(widget, kind, name)
        self.until(button.isEnabled)
        # A box reacts on its words and on its mark; the middle of a wide one is neither.
        self._qtbot.mouseClick(button, LEFT, pos=QPoint(8, button.height() // 2))

    def click_cell(self, widget, name, row, column=1, *, twice=False):
        """Click, or double-click, on a cell of a table."""
        table = self.part(widget, QAbstractItemView, name)
        where = table.visualRect(table.model().index(row, column)).center()
        for click in (self._qtbot.mouseClick, *([self._qtbot.mouseDClick] if twice else [])):
            click(table.viewport(), LEFT, pos=where)

    def correct_cell(self, table, row, column, words):
        """Double-click on a cell of a table, type and press Enter."""
        where = table.visualRect(table.model().index(row, column)).center()
        self._qtbot.mouseClick(table.viewport(), LEFT, pos=where)
        self._qtbot.mouseDClick(table.viewport(), LEFT, pos=where)
        self.until(lambda: isinstance(QApplication.focusWidget(), QLineEdit | QComboBox))
        editor = QApplication.focusWidget()
        if isinstance(editor, QLineEdit):
            editor.selectAll()
        self._qtbot.keyClicks(editor, words)
        self._qtbot.keyClick(editor, Qt.Key.Key_Return)
        self.until(lambda: table.model().index(row, column).data() == words)

    def press(self, key, modifier=Qt.KeyboardModifier.NoModifier):
        """Press a key, wherever the keyboard is heard."""
        self._qtbot.keyClick(QApplication.focusWidget() or self["Cases"].window(), key, modifier)

    @property
    def canvas(self) -> QWidget:
        """What napari draws on."""
        every = self["Cases"].window().findChildren(QWidget)
        return next(one for one in every if type(one).__name__.startswith("CanvasBackend"))

    def hover(self, place):
        """Move the mouse over the canvas, to a share of its width and height."""
        self._qtbot.mouseMove(self.canvas, self.at(place))
        self._qtbot.wait(50)

    def at(self, place):
        """Return a point of the canvas, from shares of its width and height."""
        return QPoint(round(place[0] * self.canvas.width()), round(place[1] * self.canvas.height()))

    def type(self, widget, kind, name, words):
        field = self.part(widget, kind, name)
        field.clear()
        self._qtbot.keyClicks(field, words)

    def choose(self, widget, kind, name, words):
        """Choose an entry of a list by its words, with the keys."""
        box = self.part(widget, kind, name)
        wanted = box.findText(words, Qt.MatchFlag.MatchContains)
        assert wanted >= 0, f"'{words}' is not offered: {[box.itemText(n) for n in range(box.count())]}"
        for _ in range(abs(wanted - box.currentIndex())):
            self._qtbot.keyClick(box, Qt.Key.Key_Down if wanted > box.currentIndex() else Qt.Key.Key_Up)

    def drag(self, widget, start, end):
        """Drag with the left button from one point of ``widget`` to another."""
        self._qtbot.mousePress(widget, LEFT, pos=start)
        for share in (0.25, 0.5, 0.75, 1.0):
            self._qtbot.mouseMove(widget, start + (end - start) * share)
        self._qtbot.mouseRelease(widget, LEFT, pos=end)

    def answer(self, dialog, path):
        """Answer the next file dialogs of a kind."""
        said = str(path) if dialog == "getExistingDirectory" else (str(path), "")
        self._monkeypatch.setattr(QFileDialog, dialog, lambda *_args, **_kwargs: said)

    def until(self, true, seconds=120):
        self._qtbot.waitUntil(true, timeout=1000 * seconds)

    def write(self, field, words):
        """Type into ``field`` over what is selected in it."""
        self._qtbot.keyClicks(field, words)

    def look_at(self, widget, name):
        """Leave a picture of a window of its own, such as a dialog."""
        self._qtbot.wait(300)
        self._looks += 1
        self._pictures.mkdir(parents=True, exist_ok=True)
        widget.grab().save(str(self._pictures / f"{self._looks:02d}_{name}.png"))

    def look(self, name):
        """Leave a picture of the window."""
        self._qtbot.wait(300)
        self._looks += 1
        self._pictures.mkdir(parents=True, exist_ok=True)
        self.viewer.screenshot(str(self._pictures / f"{self._looks:02d}_{name}.png"), canvas_only=False, flash=False)
