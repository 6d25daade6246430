"""An opened base and an adapter as one source: the fine-tuned model, without a merged copy of it anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from evomerge.checkpoints.adapters.change import Change, Factors
from evomerge.checkpoints.adapters.changes import changes
from evomerge.checkpoints.adapters.files import AdapterFiles
from evomerge.checkpoints.adapters.low_rank import LowRank
from evomerge.checkpoints.renamed import RenamedSource
from evomerge.checkpoints.source import CheckpointSource, TensorSpec


class AdapterSource:
    """A base with an adapter on it; see :class:`~evomerge.checkpoints.source.CheckpointSource`.

    Tensors that the adapter does not touch are the base's own, views of its mapped files. Those that it adds to are
    computed when they are asked for, in float32 whatever base and adapter are stored in, so that deltas far smaller
    than the base's rounding survive; nothing of them is kept here.

    Args:
        base: The opened base.
        adapter: The adapter's opened files.

    Attributes:
        base: The base.
        adapter: The adapter's files.

    Raises:
        InputError: If the adapter does not fit the base; all problems.
    """

    def __init__(self, base: CheckpointSource, adapter: AdapterFiles) -> None:
        self.base = base
        self.adapter = adapter
        self.path: Path = base.path
        self.config: Mapping[str, Any] = base.config
        self.aliases: Mapping[str, str] = base.aliases
        self._changes = changes(adapter, base)
        specs = dict(base.specs)
        for name, change in self._changes.items():
            specs[name] = TensorSpec(self._dtype(name, change), tuple(base.specs[name].shape))
        self.specs: Mapping[str, TensorSpec] = specs | {head: specs[name] for head, name in base.aliases.items()}

    @classmethod
    def open(cls, base: CheckpointSource, folder: str | Path) -> AdapterSource:
        """Opens an adapter's folder on an opened base.

        Raises:
            InputError: If the adapter cannot be read or merged, or does not fit the base; all problems.
        """
        return cls(base, AdapterFiles.open(Path(folder).expanduser()))

    @property
    def changed(self) -> frozenset[str]:
        """Names of the tensors that are not the base's own."""
        return frozenset(self._changes)

    def tensor(self, name: str) -> torch.Tensor:
        """The values of one tensor: the base's own, the adapter's own, or computed now, in float32.

        Raises:
            KeyError: If there is no such tensor.
        """
        name = self.aliases.get(name, name)
        change = self._changes.get(name)
        if change is None:
            return self.base.tensor(name)
        start = self.base.tensor(name) if change.replaced is None else self.adapter.tensor(change.replaced)
        if change.only_replaced:
            return start
        out = start.to(self.specs[name].dtype, copy=True)
        if change.factors is not None:
            self._product(change.factors).add_to(out)
            self._set_magnitude(change.factors, out)
        if change.shift is not None:
            key, scale = change.shift
            out.add_(self.adapter.tensor(key).to(out), alpha=scale)
        if change.rows is not None:
            key, rows = change.rows
            out[list(rows)] = self.adapter.tensor(key).to(out)
        return out

    def low_rank(self, name: str) -> LowRank | None:
        """The delta of a tensor that is the base's and a low-rank product, and nothing else; None of all others."""
        change = self._changes.get(self.aliases.get(name, name))
        if change is None or change.factors is None or change != Change(factors=change.factors):
            return None
        return None if change.factors.magnitude is not None else self._product(change.factors)

    def in_place(self, name: str) -> bool:
        """Whether :meth:`tensor` gives a view of a mapped file."""
        change = self._changes.get(self.aliases.get(name, name))
        if change is None:
            return self.base.in_place(name)
        return change.only_replaced and self.adapter.in_place(str(change.replaced))

    def file(self, name: str) -> Path:
        """The file that a tensor is from: the adapter's, where it has a part in it."""
        touched = self.aliases.get(name, name) in self._changes
        return next(iter(self.adapter.specs.values())).file if touched else self.base.file(name)

    def fingerprint(self) -> str:
        """SHA-256 over the adapter's fingerprint and the base's: no tensor is computed for it."""
        return hashlib.sha256(f"{self.adapter.fingerprint()} on {self.base.fingerprint()}".encode()).hexdigest()

    def release(self) -> None:
        """Gives up the mapped files of both."""
        self.adapter.release()
        self.base.release()

    def _dtype(self, name: str, change: Change) -> torch.dtype:
        if change.only_replaced:
            return self.adapter.specs[str(change.replaced)].dtype
        return torch.promote_types(self.base.specs[name].dtype, torch.float32)

    def _product(self, factors: Factors) -> LowRank:
        left, right = self.adapter.tensor(factors.left), self.adapter.tensor(factors.right)
        return (
            LowRank(left.t(), right.t(), factors.scale) if factors.transposed else LowRank(left, right, factors.scale)
        )

    def _set_magnitude(self, factors: Factors, out: torch.Tensor) -> None:
        """Gives every output the norm that DoRA trained for it."""
        if factors.magnitude is None:
            return
        norms = torch.linalg.vector_norm(out, dim=1 - factors.outputs, keepdim=True)
        out.mul_(self.adapter.tensor(factors.magnitude).to(out).view_as(norms) / norms)


def adapter_of(source: CheckpointSource) -> AdapterSource | None:
    """The source with an adapter that a source is, perhaps in another form; None of all others."""
    return next((own for own in _inside(source) if isinstance(own, AdapterSource)), None)


def stored_part(source: CheckpointSource, name: str) -> tuple[CheckpointSource, str, LowRank | None]:
    """A tensor as the sum of a stored tensor and a low-rank product.

    Args:
        source: Any source.
        name: The tensor's name there.

    Returns:
        The source of the stored tensor, its name there, and the product; None for no product. A tensor that is no such
        sum is given as it is.
    """
    own_name = name
    for own in _inside(source):
        if isinstance(own, AdapterSource):
            own_name = own.aliases.get(own_name, own_name)
            product = own.low_rank(own_name)
            plain = own_name in own.base.specs and own_name not in own.changed
            return (own.base, own_name, product) if plain or product is not None else (source, name, None)
        if own_name not in own.specs:  # it is put together from several there
            break
        own_name = own.names[own_name] if isinstance(own, RenamedSource) else own_name
    return source, name, None


def _inside(source: CheckpointSource) -> Iterator[CheckpointSource]:
    """A source, and those that it gives in another form."""
    own: CheckpointSource | None = source
    while own is not None:
        yield own
        own = getattr(own, "source", None)


def stored_bytes(source: CheckpointSource) -> int:
    """Bytes of a source's own files: of an adapter on a checkpoint, the adapter's."""
    found = adapter_of(source)
    return sum(spec.nbytes for spec in source.specs.values()) if found is None else found.adapter.nbytes


def computed_bytes(source: CheckpointSource, name: str) -> int:
    """Memory that a tensor takes which an adapter's source computes when it is asked for; 0 of all others.

    Args:
        source: Any source.
        name: The tensor's name there.
    """
    return 0 if adapter_of(source) is None or source.in_place(name) else source.specs[name].nbytes


def folder_of(source: CheckpointSource) -> Path:
    """The folder that a source is opened from again: of an adapter on a checkpoint, the adapter's."""
    found = adapter_of(source)
    return source.path if found is None else found.adapter.path


def changed_names(source: CheckpointSource, base: CheckpointSource, names: Iterable[str]) -> frozenset[str] | None:
    """Those of some tensors in which an adapter's source differs from its base; None of what is no adapter on it.

    Args:
        source: Any source.
        base: The base.
        names: Names of tensors, of the source.
    """
    found = adapter_of(source)
    if found is None or found.path != base.path:
        return None
    return frozenset(name for name in names if found.aliases.get(name, name) in found.changed)


def dtype_at_rest(source: CheckpointSource, name: str) -> torch.dtype:
    """The type that a tensor is stored in: of an adapter on a checkpoint, the checkpoint's, whatever is computed of it.

    Args:
        source: Any source.
        name: The tensor's name there.
    """
    own_name = name
    for own in _inside(source):
        if isinstance(own, AdapterSource) and own_name in own.base.specs:
            return own.base.specs[own_name].dtype
        own_name = own.names.get(own_name, own_name) if isinstance(own, RenamedSource) else own_name
    return source.specs[name].dtype
