"""The declaration of a tracker, and the user's choice of trackers."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from evomerge.options import Option, problems, with_defaults
from evomerge.settings import setting
from evomerge.tracking._shared.protocol import TrackedRun, Tracker

__all__ = ["TrackerSpec", "TrackingSettings"]


def _names() -> tuple[str, ...]:
    from evomerge import tracking  # the registry, which imports this file

    return tracking.names()


@dataclass(frozen=True)
class TrackingSettings:
    """The user's choice of trackers.

    Attributes:
        trackers: Their names.
        options: Tracker to its options.
    """

    trackers: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            "what follows the search besides the run's own files: [tensorboard]", key="tracking", choices=_names
        ),
    )
    options: Mapping[str, Any] = field(
        default_factory=dict,
        metadata=setting("settings of trackers, see below: {wandb: {project: mine}}", key="tracking_options"),
    )


@dataclass(frozen=True)
class TrackerSpec:
    """One tracker, as its file declares it.

    Attributes:
        name: Its file's name.
        title: Where entries go, one line.
        make: Imports the library and makes the tracker of a run, with complete options.
        library: Name of the module that must be installed; None for none.
        install: How to install it.
        options: Name to declaration.
        check: Finds problems of complete options that declarations cannot tell.
    """

    name: str
    title: str
    make: Callable[[TrackedRun, Mapping[str, Any]], Tracker]
    library: str | None = None
    install: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)
    check: Callable[[Mapping[str, Any]], list[str]] | None = None

    def installed(self) -> bool:
        """Whether its library is there; nothing is imported."""
        return self.library is None or importlib.util.find_spec(self.library) is not None

    def missing(self) -> str | None:
        """A sentence on what is to be installed, or None."""
        if self.installed():
            return None
        return f"{self.name} needs the package {self.library}, which is not installed; {self.install}"

    def problems(self, options: Mapping[str, Any]) -> list[str]:
        """Problems of options, one sentence each."""
        found = problems(f"tracker {self.name}", self.options, options)
        if found or self.check is None:
            return found
        return [f"tracker {self.name}: {problem}" for problem in self.check(self.complete(options))]

    def complete(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with every default filled in."""
        return with_defaults(self.options, options)
