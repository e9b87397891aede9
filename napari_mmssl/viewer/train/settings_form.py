"""Fields for every setting of a training, drawn from the schemas of the settings; only what is changed counts."""

import json
from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_mmssl.viewer.parts.panel import Panel
from napari_mmssl.viewer.train.sections import Section, Setting

_UNSET = "unset"
#: In pixels; three numbers in brackets fit.
_FIELD_WIDTH = 120


class SettingsForm(QCollapsible):
    """A collapsed list of sections; :meth:`assignments` tells what was changed, as after ``--set``."""

    changed = Signal()

    def __init__(self, panel: Panel) -> None:
        super().__init__("All settings", expandedIcon="▾", collapsedIcon="▸")
        panel.part(self, "all_settings", "Everything a run.toml can hold; changed lines are bold")
        self.setDuration(0)
        self._panel = panel
        self._fields: dict[str, _Field] = {}
        self._reset = panel.part(QPushButton("Reset all"), "reset_settings", "Take the recipe's own values again")
        self._reset.clicked.connect(self._reset_all)
        self._inner = QWidget()
        self._column = QVBoxLayout(self._inner)
        self._column.setContentsMargins(0, 0, 0, 0)
        self.addWidget(self._inner)
        for layout in (self.layout(), self.content().layout()):
            layout.setContentsMargins(0, 0, 0, 0)
        self._body: QWidget | None = None

    def show_sections(self, sections: Sequence[Section]) -> None:
        """Draw ``sections`` in place of what was there; changes to what was there are forgotten."""
        if self._body is not None:
            self._column.removeWidget(self._body)
            self._body.deleteLater()
        self._fields.clear()
        self._body = QWidget()
        column = QVBoxLayout(self._body)
        column.setContentsMargins(0, 0, 0, 0)
        for section in sections:
            heading = QLabel(f"<b>{section.title}</b>")
            column.addWidget(heading)
            column.addLayout(self._form(section))
        self._column.removeWidget(self._reset)
        self._column.addWidget(self._body)
        self._column.addWidget(self._reset)
        self._mark()

    def assignments(self) -> tuple[str, ...]:
        """Return what was changed, as ``key=value`` texts."""
        return tuple(f"{key}={field.text()}" for key, field in self._fields.items() if field.is_changed())

    def set_text(self, key: str, text: str) -> None:
        """Write ``text`` into the field of ``key``, as a person does; ``KeyError`` if there is none."""
        self._fields[key].set_text(text)

    def _form(self, section: Section) -> QFormLayout:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for setting in section.settings:
            field = _Field(self._panel, setting)
            field.changed.connect(self._mark)
            self._fields[setting.key] = field
            form.addRow(field.label, field.widget)
        return form

    def _mark(self) -> None:
        count = len(self.assignments())
        self.setText("All settings" + (f" ({count} changed)" if count else ""))
        self._reset.setEnabled(count > 0)
        self.changed.emit()

    def _reset_all(self) -> None:
        for field in self._fields.values():
            field.reset()


class _Field(QObject):
    """One setting: a choice, a tick, or a line of text as it stands in TOML."""

    changed = Signal()

    def __init__(self, panel: Panel, setting: Setting) -> None:
        super().__init__()
        self._before = _words(setting.value)
        self.label = QLabel(setting.title)
        self.widget = panel.part(self._make(setting), setting.key, _help(setting))
        self.widget.setMinimumWidth(_FIELD_WIDTH)
        # It goes with its widget.
        self.setParent(self.widget)

    def text(self) -> str:
        """Return the value, as it is written in TOML."""
        if isinstance(self.widget, QCheckBox):
            return "true" if self.widget.isChecked() else "false"
        words = self.widget.currentText() if isinstance(self.widget, QComboBox) else self.widget.text()
        return str(words).strip()

    def set_text(self, text: str) -> None:
        """Write ``text`` into the field."""
        if isinstance(self.widget, QCheckBox):
            self.widget.setChecked(text == "true")
        elif isinstance(self.widget, QComboBox):
            self.widget.setCurrentText(text)
        else:
            self.widget.setText(text)

    def is_changed(self) -> bool:
        """Whether it is another value than before; an emptied line takes the value before."""
        return self.text() not in ("", self._before)

    def reset(self) -> None:
        """Take the value before again."""
        self.set_text(self._before)

    def _make(self, setting: Setting) -> QWidget:
        choices = setting.schema.get("enum")
        if choices:
            box = QComboBox()
            box.addItems([str(choice) for choice in choices])
            box.setCurrentText(self._before)
            box.currentTextChanged.connect(self._tell)
            return box
        if setting.schema.get("type") == "boolean":
            tick = QCheckBox()
            tick.setChecked(bool(setting.value))
            tick.toggled.connect(self._tell)
            return tick
        line = QLineEdit(self._before)
        line.setPlaceholderText(_UNSET)
        line.textChanged.connect(self._tell)
        return line

    def _tell(self, _value: Any = None) -> None:
        font = self.label.font()
        font.setBold(self.is_changed())
        self.label.setFont(font)
        self.changed.emit()


def _words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _help(setting: Setting) -> str:
    schema = setting.schema
    limits = {
        "minimum": "at least {}",
        "exclusiveMinimum": "above {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "below {}",
    }
    bounds = ", ".join(words.format(schema[key]) for key, words in limits.items() if key in schema)
    parts = (schema.get("title", ""), schema.get("description", ""), bounds, f"--set {setting.key}=...")
    return ". ".join(part.rstrip(".") for part in parts if part)
