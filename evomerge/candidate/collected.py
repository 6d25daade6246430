"""Collected statistics as a worker is told of them: where they are, and which ones it will read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evomerge.errors import InputError
from evomerge.lease import this_machine
from evomerge.statistics import StatisticsFolder


@dataclass(frozen=True)
class CollectedStatistics:
    """Statistics that were collected before the first candidate.

    Attributes:
        folder: Their folder, which workers on all machines see.
        keys: The keys that candidates name.
    """

    folder: str
    keys: tuple[str, ...]

    def open(self) -> StatisticsFolder:
        """The folder, with everything in it.

        Raises:
            InputError: If this machine does not see it, or it lacks some of them.
        """
        found = StatisticsFolder(Path(self.folder))
        if missing := found.missing(self.keys):
            where = this_machine().split(" ")[0]
            raise InputError(
                f"statistics: {len(missing)} of {len(set(self.keys))} statistics that candidates read are not in "
                f"{self.folder} on {where}, the first is {missing[0]}; if the driver runs elsewhere, name a folder "
                "that all machines see, statistics.folder=..., or copy it here"
            )
        return found
