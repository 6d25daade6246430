"""Segments of a packed pass: what each row has read in it, and what its tokens attend to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from evomerge.fitness.inference.generation.draft_tree import chain_ends

_SHORT = 32  # tokens; longer segments are not padded
_ALIKE = 8  # tokens; longer segments are attended to one by one where nothing is padded, since calls cost little then


@dataclass(frozen=True, eq=False)
class Segment:
    """The tokens of one row in a pass.

    Attributes:
        slot: Where its cache lies.
        before: Number of its tokens that are in the cache.
        tokens: ``(length,)``; they are written to the cache behind those.
        depths: ``(length,)``, place of each token in its own sequence, counted from the first one here.
        ends: ``(length,)``, index behind the last token of each token's subtree; a token attends to its ancestors.
    """

    slot: int
    before: int
    tokens: np.ndarray
    depths: np.ndarray
    ends: np.ndarray

    @classmethod
    def chain(cls, slot: int, before: int, tokens: np.ndarray) -> Segment:
        """A segment that is one sequence."""
        return cls(slot, before, tokens, np.arange(len(tokens)), chain_ends(len(tokens)))

    @property
    def width(self) -> int:
        """Tokens that its last one may attend to, itself included."""
        return self.before + len(self.tokens)

    def first_seen(self, window: int | None, start: int = 0) -> int:
        """The first token in the cache, from one on, that any token attends to.

        Args:
            window: Number of tokens that a token attends to, itself included; None for all.
            start: The first that is in this cache.
        """
        return start if window is None else max(start, self.before - window + 1)

    def seen(self, window: int | None, start: int = 0) -> np.ndarray:
        """``(length, width - first_seen)``, true where a token attends to one in the cache."""
        index, first = np.arange(len(self.tokens)), self.first_seen(window, start)
        own = (index[None] <= index[:, None]) & (self.ends[None] > index[:, None])
        seen = np.concatenate([np.ones((len(index), self.before - first), dtype=bool), own], axis=1)
        if window is not None:
            places = np.concatenate([np.arange(first, self.before), self.before + self.depths])
            seen &= (self.before + self.depths)[:, None] - places[None] < window
        return seen


class Group:
    """Segments that are attended to in one call: a single one as it is, several padded to the longest and widest.

    Args:
        segments: One or more.
        starts: Place of the first token of each in the pass.
        device: Of the model.
        first: The first token that is in the caches of these segments; those before lie elsewhere.
    """

    def __init__(
        self, segments: Sequence[Segment], starts: Sequence[int], device: torch.device, first: int = 0
    ) -> None:
        self.segments = segments
        self._first = first
        self.length = max(len(one.tokens) for one in segments)
        self._device = device
        self._slots = torch.tensor([one.slot for one in segments], device=device)
        lengths = [len(one.tokens) for one in segments]
        offsets = np.concatenate([np.arange(length) for length in lengths])
        self._rows = torch.from_numpy(np.repeat(np.arange(len(segments)), lengths)).to(device)
        self._offsets = torch.from_numpy(offsets).to(device)
        self._tokens = torch.from_numpy(offsets + np.repeat(np.asarray(starts), lengths)).to(device)
        self._single = slice(starts[0], starts[0] + lengths[0])

    def causal(self, window: int | None) -> bool:
        """Whether it is one sequence from its first token on, each token of which attends to all before it."""
        one = self.segments[0]
        whole = len(self.segments) == 1 and one.before == self._first == 0 and window is None
        return whole and len(one.tokens) > 1 and bool((one.ends == len(one.tokens)).all())

    def queries(self, query: torch.Tensor) -> torch.Tensor:
        """``(rows, heads, length, size)`` of ``(heads, tokens, size)`` queries of the pass."""
        if len(self.segments) == 1:
            return query[None, :, self._single]
        padded = query.new_zeros(len(self.segments), self.length, query.shape[0], query.shape[2])
        padded[self._rows, self._offsets] = query.transpose(0, 1)[self._tokens]
        return padded.transpose(1, 2)

    def cached(self, cache: torch.Tensor, window: int | None) -> torch.Tensor:
        """``(rows, heads, seen, size)`` of a ``(slots, capacity, heads, size)`` cache."""
        if len(self.segments) == 1:
            (one,) = self.segments
            return cache[one.slot, one.first_seen(window, self._first) : one.width].transpose(0, 1)[None]
        return cache[self._slots, self._first : max(one.width for one in self.segments)].transpose(1, 2)

    def put(self, target: torch.Tensor, made: torch.Tensor) -> None:
        """Writes ``(rows, heads, length, size)`` results to their places among ``(tokens, heads, size)``."""
        if len(self.segments) == 1:
            target[self._single] = made[0].transpose(0, 1)
        else:
            target[self._tokens] = made.transpose(1, 2)[self._rows, self._offsets]

    def mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor | None:
        """Numbers that are added to products, ``(rows, length, seen)``; None where everything is seen."""
        if len(self.segments) == 1:
            (one,) = self.segments
            seen = None if len(one.tokens) == 1 else one.seen(window, self._first)[None]
        else:
            width = max(one.width for one in self.segments) - self._first
            seen = np.zeros((len(self.segments), self.length, width), dtype=bool)
            seen[:, :, 0] = True  # of padding, which has to attend to something
            for row, one in enumerate(self.segments):
                own = slice(one.first_seen(window, self._first) - self._first, one.width - self._first)
                seen[row, : len(one.tokens)] = False
                seen[row, : len(one.tokens), own] = one.seen(window, self._first)
        if seen is None:
            return None
        mask = torch.zeros(seen.shape, dtype=dtype)
        return mask.masked_fill_(torch.from_numpy(~seen), torch.finfo(dtype).min).to(self._device)


def grouped(segments: Sequence[Segment], device: torch.device, *, pad: bool, first: int = 0) -> list[Group]:
    """Groups of the segments of a pass.

    Args:
        segments: In the order of the pass.
        device: Of the model.
        pad: Whether short segments of any length are one call, which saves a GPU launches; a CPU would work on the
            padding, so there only short ones of one length are.
        first: As in :class:`Group`.
    """
    starts = np.cumsum([0, *(len(one.tokens) for one in segments)]).tolist()
    parts: dict[int, list[tuple[Segment, int]]] = {}
    for place, pair in enumerate(zip(segments, starts, strict=False)):
        length = len(pair[0].tokens)
        together = (0 if pad else length) if length <= (_SHORT if pad else _ALIKE) else -1 - place
        parts.setdefault(together, []).append(pair)
    return [Group([one for one, _ in part], [start for _, start in part], device, first) for part in parts.values()]
