"""Rows of a merged model's embeddings, gathered from wherever their tokens stand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from evomerge.checkpoints import CheckpointSource
from evomerge.errors import InputError
from evomerge.merging.vocabulary.defaults import MEAN, Defaults

_CHUNK = 4096  # rows that are copied at a time


@dataclass(frozen=True)
class TokenRows:
    """The rows of one input of a merged tensor: for each the source and the row there.

    Attributes:
        digest: Stands for everything below, sources apart.
        sources: The base, or None, and the sources, each with the name of its tensor.
        place: For each row its place among the sources, or what it gets instead, see
            :mod:`~evomerge.merging.vocabulary.defaults`.
        row: The row there.
        own: For rows that are a mean, the row in each source, -1 where it has none; ``(sources, rows)``.
        padding: Rows behind these, each the mean of all that stand before them.
    """

    digest: str
    sources: tuple[tuple[CheckpointSource, str] | None, ...]
    place: np.ndarray
    row: np.ndarray
    own: np.ndarray
    padding: int = 0

    def __hash__(self) -> int:
        """Of the digest: arrays have none."""
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        """Equal rows of the same sources."""
        return isinstance(other, TokenRows) and (self.digest, self.sources) == (other.digest, other.sources)

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self.place) + self.padding

    @property
    def read_from(self) -> tuple[tuple[CheckpointSource, str], ...]:
        """The sources that rows come from, each with the name of its tensor."""
        wanted = {int(place) for place in np.unique(self.place) if place >= 0}
        if (self.place == MEAN).any():
            wanted |= {place for place in range(len(self.sources)) if (self.own[place] >= 0).any()}
        return tuple(found for place, found in enumerate(self.sources) if found is not None and place in wanted)

    def dtype(self, computed: torch.dtype | None) -> torch.dtype:
        """The type that holds all sources, or that they are rounded to where it is narrower."""
        kinds = [source.specs[name].dtype for source, name in self.read_from if name in source.specs]
        widest = kinds[0] if kinds else (computed or torch.float32)
        for kind in kinds[1:]:
            widest = torch.promote_types(widest, kind)
        return widest if computed is None or torch.promote_types(widest, computed) == computed else computed

    def read(self, computed: torch.dtype | None) -> torch.Tensor:
        """The rows, in new memory and nothing else of their size.

        Args:
            computed: The type that they are rounded to, unless it holds theirs; None: nothing is rounded.

        Raises:
            InputError: If a source does not have its tensor.
        """
        dtype = self.dtype(computed)
        tensors = self._tensors()
        first = next(tensor for tensor in tensors if tensor is not None)
        out = torch.zeros((self.count, *first.shape[1:]), dtype=dtype)
        for place, tensor in enumerate(tensors):
            if tensor is None:
                continue
            for rows in _chunks(np.flatnonzero(self.place == place)):
                out[rows] = tensor[torch.from_numpy(self.row[rows.numpy()])].to(dtype)
        for rows in _chunks(np.flatnonzero(self.place == MEAN)):
            out[rows] = self._mean(tensors, rows.numpy(), dtype).to(dtype)
        if self.padding:
            known = out[: len(self.place)]
            total = sum((known[rows].float().sum(dim=0) for rows in _chunks(np.arange(len(known)))), torch.zeros(()))
            out[len(known) :] = (total / max(1, len(known))).to(dtype)
        return out

    def _tensors(self) -> list[torch.Tensor | None]:
        wanted = self.read_from
        tensors: list[torch.Tensor | None] = []
        for entry in self.sources:
            if entry is None or entry not in wanted:
                tensors.append(None)
                continue
            source, name = entry
            if name not in source.specs:
                raise InputError(f"{str(source.path)!r} has no tensor {name!r}")
            tensors.append(source.tensor(name))
        return tensors

    def _mean(self, tensors: Sequence[torch.Tensor | None], rows: Any, dtype: torch.dtype) -> torch.Tensor:
        total: torch.Tensor | None = None
        count = torch.zeros(len(rows))
        seen: set[int] = set()
        for place, entry in enumerate(self.sources):
            tensor = tensors[place]
            if entry is None or tensor is None or id(entry[0]) in seen:
                continue  # a checkpoint that is named twice counts once
            seen.add(id(entry[0]))
            own = torch.from_numpy(self.own[place][rows])
            has = own >= 0
            taken = tensor[own.clamp(min=0)].to(dtype).float()
            taken[~has] = 0
            total = taken if total is None else total + taken
            count += has
        assert total is not None
        return total / count.view(-1, *[1] * (total.dim() - 1))


def token_rows(
    sources: Sequence[tuple[CheckpointSource, str] | None], found: Defaults, place: int, padding: int
) -> TokenRows:
    """The rows of one source in merged embeddings.

    Args:
        sources: The base, or None, and the sources, each with the name of its tensor.
        found: What tokens get.
        place: The source's place among them.
        padding: Rows behind those of the tokens.
    """
    where, row = found.of(place)
    digest = hashlib.sha256(f"{place} {padding}".encode())
    for array in (where, row, found.own):
        digest.update(np.ascontiguousarray(array).tobytes())
    return TokenRows(digest.hexdigest(), tuple(sources), where, row, found.own, padding)


def _chunks(rows: np.ndarray) -> Iterator[torch.Tensor]:
    for start in range(0, len(rows), _CHUNK):
        yield torch.from_numpy(rows[start : start + _CHUNK])
