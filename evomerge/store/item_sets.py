"""The sets of items that were asked: every ask names one by its digest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from pathlib import Path

from evomerge.errors import InputError
from evomerge.evaluation import ItemLists, compact, item_set_digest
from evomerge.store.files import Log, read_lines

Items = Mapping[str, tuple[str, ...]]


class ItemSets:
    """Digest to items, kept in ``item_sets.jsonl``; those that are there already are known after :meth:`load`.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log = Log(path)
        self._items: dict[str, Items] = {}
        self._members: dict[str, frozenset[tuple[str, str]]] = {}
        self._digests: dict[int, tuple[ItemLists, str]] = {}  # of what was asked last, by identity

    def load(self, named: Set[str]) -> None:
        """Reads the file.

        Args:
            named: Digests of sets that must be in it.

        Raises:
            InputError: If one of its lines cannot be read, or one of these sets is missing.
        """
        self._items |= read_lines(self._path, _read_line)
        missing = sorted(named - self._items.keys())
        if missing:
            raise InputError(
                f"{self._path} lacks {len(missing)} of the sets of items that the records beside it name (the first is "
                f"{missing[0][:12]}). Take the file from a copy of the run's folder"
            )

    def digest(self, items: ItemLists) -> str:
        """The digest of a set; that of the mapping asked last is remembered, as candidates are asked the same ones."""
        remembered = self._digests.get(id(items))
        if remembered is not None and remembered[0] is items:
            return remembered[1]
        digest = item_set_digest(items)
        self._digests = {id(items): (items, digest)}
        return digest

    def add(self, items: ItemLists, *, keep: bool = True) -> str:
        """Adds a set and returns its digest; a new one is on disk when this returns, unless it is not to be kept."""
        digest = self.digest(items)
        if digest not in self._items:
            listed = {task: tuple(ids) for task, ids in items.items() if ids}
            if keep:
                self._log.append((compact({"item_set": digest, "items": listed}) + "\n").encode())
            self._items[digest] = listed
        return digest

    def get(self, digest: str) -> Items | None:
        """The items of a set, in the order in which they were first asked; None when it is not known."""
        return self._items.get(digest)

    def members(self, digest: str) -> frozenset[tuple[str, str]]:
        """The (task, item) pairs of a set; empty when it is not known."""
        if digest not in self._members:
            listed = self._items.get(digest, {})
            self._members[digest] = frozenset((task, item) for task, ids in listed.items() for item in ids)
        return self._members[digest]

    def close(self) -> None:
        """Closes the file."""
        self._log.close()


def _read_line(line: str) -> tuple[str, Items]:
    data = json.loads(line)
    return data["item_set"], {task: tuple(ids) for task, ids in data["items"].items()}
