"""A field for a folder that is to be made: its name where such folders usually go, or a path."""

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QLineEdit


class FolderField(QLineEdit):
    """Shows a name instead of a path too long for a dock; the tooltip tells the whole path.

    Parameters
    ----------
    usual
        Returns the folder in which a bare name is taken to be; it may follow the preferences.
    tip
        What is made there.
    """

    def __init__(self, usual: Callable[[], Path], tip: str) -> None:
        super().__init__()
        self._usual, self._tip = usual, tip
        self.setAccessibleDescription(tip)
        self.setPlaceholderText("name of a new folder")
        self.textChanged.connect(self._tell)
        self._tell()

    @property
    def folder(self) -> Path | None:
        """The folder that is meant; ``None`` while nothing stands there."""
        words = self.text().strip()
        return self._usual() / Path(words).expanduser() if words else None

    @folder.setter
    def folder(self, folder: Path) -> None:
        self.setText(folder.name if folder.parent == self._usual() else str(folder))
        self.setCursorPosition(0)

    def _tell(self) -> None:
        self.setToolTip(f"{self._tip}: a name in '{self._usual()}', or a path\n{self.folder or ''}".strip())
