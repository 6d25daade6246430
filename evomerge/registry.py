"""Folders as registries: one plugin is one file, and the file's name is the plugin's name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from evomerge.errors import InputError, suggest

__all__ = ["Registry"]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=_Named)


@dataclass(frozen=True)
class Registry(Generic[T]):
    """The plugins of a package: its modules, except those with a leading underscore.

    Attributes:
        package: The package's name.
        folders: Its ``__path__``.
        attribute: The variable that each module declares its plugin in.
        word: The kind of plugin, for messages.
    """

    package: str
    folders: Sequence[str]
    attribute: str
    word: str

    def names(self) -> tuple[str, ...]:
        """Names of all plugins, sorted; nothing is imported."""
        found = (module.name for module in pkgutil.iter_modules(self.folders))
        return tuple(sorted(name for name in found if not name.startswith("_")))

    def load(self, name: str) -> T:
        """Imports one plugin.

        Raises:
            InputError: If there is none of that name.
            ValueError: If its file declares nothing, or something of another name.
        """
        known = self.names()
        if name not in known:
            raise InputError(
                f"there is no {self.word} {name!r}{suggest(name, known)} (known are {', '.join(known) or 'none'})"
            )
        plugin: T | None = getattr(importlib.import_module(f"{self.package}.{name}"), self.attribute, None)
        if plugin is None:
            raise ValueError(f"{self.package}.{name} declares no {self.attribute}; expected one named {name!r}")
        if plugin.name != name:
            raise ValueError(f"the {self.word} in {name}.py is named {plugin.name!r}; its name must be its file's name")
        return plugin
