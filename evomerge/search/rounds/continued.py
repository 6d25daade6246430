"""Names of proposals that are those of one round alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evomerge.search.searchers import Observation, Proposal, Searcher, Selection

__all__ = ["Continued"]


class Continued:
    """The searcher of a later round: its proposals have names that no earlier round's have.

    Args:
        searcher: The searcher.
        number: The round's number, which begins the names: ``2:1.0``.
    """

    def __init__(self, searcher: Searcher, number: int) -> None:
        self._searcher = searcher
        self._prefix = f"{number}:"

    def ask(self, n: int | None = None) -> list[Proposal]:
        """The next proposals; see `Searcher.ask`."""
        return [
            replace(one, id=self._named(one.id), parents=tuple(map(self._named, one.parents)))
            for one in self._searcher.ask(n)
        ]

    def tell(self, observations: Sequence[Observation]) -> None:
        """Takes values; see `Searcher.tell`."""
        self._searcher.tell([replace(one, id=one.id.removeprefix(self._prefix)) for one in observations])

    def selection(self) -> Selection:
        """Whom the searcher keeps; see `Searcher.selection`."""
        found = self._searcher.selection()
        return replace(found, kept=tuple(map(self._named, found.kept)))

    def _named(self, id: str) -> str:
        return self._prefix + id
