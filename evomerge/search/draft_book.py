"""The texts of candidates, for later ones to verify: see :mod:`evomerge.evaluation.drafts`.

In a lower precision rounding may let an answer depend on the drafts that it was verified with. So these follow from the
run's plan and its records alone: a candidate gets the answers of batches that had ended before its own, in the order of
the asks, whatever the workers were like and however often the run was killed. Rungs of a batch see none of each other.
An asynchronous search has no batches that end: its candidates get what was told before they were asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from evomerge.evaluation import DRAFTS_KEPT, Drafts, Evaluation, ItemLists, Response
from evomerge.search.batch import Batch
from evomerge.store import RunStore

__all__ = ["DraftBook"]

_Key = tuple[str, str]  # task and item


@dataclass(frozen=True)
class _Unread:
    """Answers that are not in the book yet: they are read when a job needs them, and never where all is known.

    Attributes:
        split: The split.
        number: From which `Batch.history` on they are drafts.
        digest: The recipe's.
        items: What it was asked.
        given: What it answered to that, where that may not be on disk yet.
    """

    split: str
    number: int
    digest: str
    items: ItemLists
    given: Sequence[Response] = ()


@dataclass
class DraftBook:
    """The last answers to each item, of all batches that this session has come past.

    Attributes:
        store: The run's store.
        wanted: Whether candidates write, and drafts are made of it; else nothing is ever read.
    """

    store: RunStore
    wanted: bool = False
    _unread: list[_Unread] = field(default_factory=list)
    _asked: dict[str, tuple[ItemLists, ...]] = field(default_factory=dict)  # by digest, which items
    _answers: dict[str, deque[tuple[int, ...]]] = field(default_factory=dict)  # by item, the oldest first

    def add(
        self, batch: Batch, evaluations: Iterable[Evaluation], given: Sequence[Response] = (), *, number: int
    ) -> None:
        """Takes evaluations in, in their order; failures wrote nothing.

        Args:
            batch: Where they were asked.
            evaluations: The evaluations.
            given: What was answered for them, if that may not be on disk yet.
            number: From which `Batch.history` on they are drafts.
        """
        if self.wanted:
            scored = [evaluation for evaluation in evaluations if evaluation.error is None]
            self._unread += [_Unread(batch.split, number, one.digest, batch.items, given) for one in scored]

    def drafts(self, batch: Batch) -> Drafts:
        """The answers to the items of a batch that are there when it begins, one mapping for all its jobs."""
        if not self.wanted or batch.history is None:
            return {}
        before = [one for one in self._unread if one.split == batch.split and one.number <= batch.history]
        self._unread = [one for one in self._unread if one.split != batch.split or one.number > batch.history]
        self._read(before)
        items = (item for ids in batch.items.values() for item in ids)
        return {item: tuple(self._answers[item]) for item in items if item in self._answers}

    def _read(self, before: Sequence[_Unread]) -> None:
        """Takes answers in; the newest are read first, and no more than are kept, however long the run is."""
        first = [self._first_asked(one) for one in before]
        last: dict[str, list[tuple[int, ...]]] = {}
        silent = set[str]()  # items that nobody writes to
        for one, keys in zip(reversed(before), reversed(first), strict=True):
            wanted = [key for key in keys if key[1] not in silent and len(last.get(key[1], ())) < DRAFTS_KEPT]
            found: dict[str, list[tuple[int, ...]]] = {}
            for response in self._responses(one, wanted):
                found.setdefault(response.item, []).extend(response.ids)
            silent |= {item for item, answers in found.items() if not answers}
            last |= {item: [*answers, *last.get(item, ())] for item, answers in found.items() if answers}
        for item, answers in last.items():
            own = self._answers.setdefault(item, deque(maxlen=DRAFTS_KEPT))
            for ids in answers[-DRAFTS_KEPT:]:
                own.append(next((same for same in own if same == ids), ids))  # one value in memory

    def _first_asked(self, unread: _Unread) -> list[_Key]:
        """Items that a recipe had not answered in a batch or rung before that one, as each answer counts once."""
        earlier = {key for items in self._asked.get(unread.digest, ()) for key in _keys(items)}
        self._asked[unread.digest] = (*self._asked.get(unread.digest, ()), unread.items)
        return [key for key in _keys(unread.items) if key not in earlier]

    def _responses(self, unread: _Unread, wanted: Sequence[_Key]) -> list[Response]:
        keys = set(wanted)
        given = [response for response in unread.given if response.key in keys]
        keys -= {response.key for response in given}
        missing: dict[str, list[str]] = {}
        for task, item in (key for key in wanted if key in keys):
            missing.setdefault(task, []).append(item)
        return [*given, *(self.store.find(unread.digest, missing)[0] if missing else ())]


def _keys(items: ItemLists) -> list[_Key]:
    return [(task, item) for task, ids in items.items() for item in ids]
