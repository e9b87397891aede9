"""One registry per kind of thing that can be added by adding one file."""

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from napari_mmssl.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered thing: what it is called, what it does in one line, and where it comes from."""

    name: str
    summary: str
    source: str
    value: T


class Registry(Generic[T]):
    """Named things of one kind, found by importing every module of one package.

    Parameters
    ----------
    kind
        What the things are called in messages, in the singular: ``"objective"``.
    package
        Dotted name of the package whose modules register themselves; imported at first look-up,
        so that drawing up the registry itself costs nothing.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, Entry[T]] = {}
        self._discovered = False

    def register(self, name: str, *, summary: str, source: str = "") -> Callable[[T], T]:
        """Return a decorator that files its target under ``name``; a second use of a name is an error."""

        def file_under_name(value: T) -> T:
            if name in self._entries:
                raise ValueError(f"two {self.kind}s are called '{name}'")
            self._entries[name] = Entry(name, summary, source, value)
            return value

        return file_under_name

    def entries(self) -> list[Entry[T]]:
        """Return all entries, sorted by name."""
        self._discover()
        return [self._entries[name] for name in sorted(self._entries)]

    def get(self, name: str) -> T:
        """Return what is filed under ``name``.

        Raises
        ------
        ConfigError
            If there is no such name; the message lists the known ones and the nearest.
        """
        self._discover()
        if name not in self._entries:
            raise ConfigError(unknown_name(self.kind, name, self._entries))
        return self._entries[name].value

    def _discover(self) -> None:
        if self._discovered:
            return
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        self._discovered = True


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return the sentence that says ``name`` is not a known ``kind`` and which ones are near."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(repr(n) for n in near)}?" if near else f"; known: {', '.join(known)}"
    return f"unknown {kind} '{name}'{hint}"
