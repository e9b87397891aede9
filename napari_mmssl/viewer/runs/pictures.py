"""What a network made of an unseen subject at each look, as layers, while it learns or afterwards."""

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_mmssl.errors import MmsslError
from napari_mmssl.pictures import Picture, read_picture
from napari_mmssl.training.run_folder import RunFolder
from napari_mmssl.viewer.layers.picture_view import PictureView, picture_layers, picture_words
from napari_mmssl.viewer.parts.panel import Panel


class RunPictures(QWidget):
    """A list of pictures; the chosen one takes the place of the case until a person goes back to it."""

    def __init__(self, panel: Panel) -> None:
        super().__init__()
        self._panel, self._view = panel, PictureView(panel)
        self._run: Path | None = None
        #: The picture that is shown as layers, if any.
        self.shown: Picture | None = None
        self._list = panel.part(QListWidget(), "run_pictures", "Click a picture to see it as layers at that step")
        self._list.itemClicked.connect(self._chosen)
        self._list.itemActivated.connect(self._chosen)
        self._newest = panel.part(QCheckBox("always the newest"), "newest_picture", "Show each new picture as it comes")
        self._newest.toggled.connect(self._show_newest)
        self._back = panel.part(QPushButton("Back to the case"), "hide_picture", "Take the picture away")
        self._back.clicked.connect(self.clear)
        self._about = panel.part(QLabel("No picture yet: a training leaves some at each look."), "about_picture")
        self._about.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self._newest)
        row.addWidget(self._back)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self._list, 1)
        column.addWidget(self._about)
        self._back.setEnabled(False)

    def show_run(self, run: Path | None) -> None:
        """List the pictures of ``run``, newest first."""
        if run != self._run:
            self.clear()
        self._run = run
        known = {self._list.item(n).data(Qt.ItemDataRole.UserRole) for n in range(self._list.count())}
        files = _pictures(run)
        if set(files) == known:
            return
        self._list.clear()
        for file in reversed(files):
            step, _, name = file.stem.partition("-")
            item = QListWidgetItem(f"step {int(step)}: {name.replace('_', ' ')}")
            item.setData(Qt.ItemDataRole.UserRole, file)
            self._list.addItem(item)
        if files:
            self._about.setText("")
        self._show_newest()

    def clear(self) -> None:
        """Take the picture away and show the case again."""
        self._view.clear()
        self.shown = None
        self._back.setEnabled(False)

    def _show_newest(self, _on: bool = False) -> None:
        if self._newest.isChecked() and self._list.count():
            self._chosen(self._list.item(0))

    def _chosen(self, item: QListWidgetItem) -> None:
        file = item.data(Qt.ItemDataRole.UserRole)
        self._panel.in_thread(lambda: read_picture(file), self._show, self._about.setText)

    def _show(self, picture: Picture) -> None:
        if not picture_layers(picture):
            self._about.setText("This picture has nothing that lies in space; the Pretext widget shows it.")
            return
        self._view.show(picture)
        self.shown = picture
        self._back.setEnabled(True)
        self._about.setText(picture_words(picture))


def _pictures(run: Path | None) -> list[Path]:
    try:
        return [] if run is None else RunFolder(run).pictures()
    except (MmsslError, OSError):
        return []
