"""All trackers of a run: one listener of its events."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evomerge.evaluation import Objective
from evomerge.search.events import Event
from evomerge.tracking._shared.conclusion import conclusion
from evomerge.tracking._shared.course import Course
from evomerge.tracking._shared.delivery import Delivery
from evomerge.tracking._shared.protocol import Entry, TrackedRun
from evomerge.tracking._shared.spec import TrackerSpec

__all__ = ["Tracking", "flattened"]

PATIENCE = 60.0  # seconds without progress after which a tracker is left behind at a session's end
_HASTE = 5.0  # the same where a session ends before its time


class Tracking:
    """Follows a search and tells every tracker.

    Args:
        run: The run; each tracker gets a folder of its own inside ``run.folder``.
        chosen: Each tracker with its complete options.
        objectives: What the search improves.
        warn: Told of a tracker that fails: once, in the thread that sends events.
    """

    def __init__(
        self,
        run: TrackedRun,
        chosen: Sequence[tuple[TrackerSpec, Mapping[str, Any]]],
        objectives: Sequence[Objective],
        warn: Callable[[str], None],
    ) -> None:
        self._warn = warn
        self._deliveries = [
            Delivery(spec.name, functools.partial(_made, spec, run, dict(options))) for spec, options in chosen
        ]
        self._course = Course(objectives, self._entry)

    def __call__(self, event: Event) -> None:
        """Takes an event in."""
        if self._deliveries:
            try:
                self._course(event)
            except Exception as error:  # a fault of ours is none of the search
                self._give_up(f"{type(error).__name__}: {error}")
        self._tell_problems()

    def __enter__(self) -> Tracking:
        """Follows what happens in a ``with`` block."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Waits for the trackers, less long where the user wants to leave or an error is to be told."""
        self.close(PATIENCE if kind is None else _HASTE)

    def conclude(self, front: Mapping[str, Any], files: Sequence[Path]) -> None:
        """Gives every tracker what stands at the session's end.

        Args:
            front: The object of ``front.json``.
            files: The report.
        """
        for delivery in self._deliveries:
            delivery.conclude(max(self._course.step, 0), conclusion(front), files)

    def close(self, patience: float = PATIENCE) -> None:
        """Waits for the trackers; one that hangs is left behind after so many seconds."""
        for delivery in self._deliveries:
            delivery.close(patience)
        self._tell_problems()

    def _entry(self, entry: Entry) -> None:
        for delivery in self._deliveries:
            delivery.entry(entry)

    def _give_up(self, why: str) -> None:
        deliveries, self._deliveries = self._deliveries, []
        for delivery in deliveries:
            delivery.close(_HASTE)
        self._warn(f"tracking has failed and goes on in the next session; the search is not touched: {why}")

    def _tell_problems(self) -> None:
        for delivery in self._deliveries:
            problem = delivery.problem()
            if problem is not None:
                self._warn(
                    f"tracking with {delivery.name} has failed and goes on in the next session; the search is not "
                    f"touched: {problem}"
                )


def flattened(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with one level of sections as dotted keys."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            found |= {f"{name}.{inner}": held for inner, held in value.items()}
        else:
            found[name] = value
    return found


def _made(spec: TrackerSpec, run: TrackedRun, options: Mapping[str, Any]) -> Any:
    own = replace(run, folder=(run.folder / spec.name).resolve())
    own.folder.mkdir(parents=True, exist_ok=True)
    return spec.make(own, options)
