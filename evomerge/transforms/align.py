"""Neurons and heads of experts, brought into the order of the reference where that makes them more alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from evomerge.checkpoints import CheckpointSource
from evomerge.errors import InputError
from evomerge.merging import LiveModel
from evomerge.statistics import write
from evomerge.transforms._shared.averages import merged_names
from evomerge.transforms._shared.costs import FLOAT, elements, matrices
from evomerge.transforms._shared.declaration import Cost, Made, Transform, Work
from evomerge.transforms._shared.heads import assign_heads
from evomerge.transforms._shared.matching import assign
from evomerge.transforms._shared.units import Attention, Axes, attentions, inner, neurons, permuted

_TOKENS = 32  # of the sequence that shows that a model computes what it computed
_STEP = 7919  # a prime, so that the ids of that sequence are spread over the vocabulary
_DIFFERENCE = 1e-3  # of logits, relative to the largest; sums in another order differ in their last digits


def _make(work: Work) -> Iterator[Made]:
    reference = work.reference
    mlps, (modules, unknown) = neurons(reference), attentions(reference)
    if not mlps and not modules:
        raise InputError(
            f"{reference.path}: no MLP or attention of a known form, so nothing can be aligned; expected names such as "
            "gate_proj, up_proj and down_proj, or q_proj, k_proj, v_proj and o_proj"
        )
    notes = (
        [f"{len(unknown)} attention modules are of an unknown form and stay, such as {unknown[0]}"] if unknown else []
    )
    live: LiveModel | None = None
    for label, expert in zip(work.labels, work.experts, strict=True):
        if expert is reference:
            continue
        found = aligned(reference, expert, mlps, modules)
        if not found.changed:
            work.say(f"{label} is in the order of {reference.path.name} already: nothing is gained, nothing changes")
            continue
        live = work.load() if live is None else live
        _verify(live, expert, found.changed, label)
        yield Made(label, expert, found.changed, notes=(*notes, found.words))


class Aligned:
    """Tensors of an expert in the reference's order.

    Args:
        reference: Whose order.
        expert: The expert.

    Attributes:
        changed: Name to tensor, of those whose order is another.
        layers: Number of MLPs and of attention modules that have changed.
        before: Similarity as it was, of those.
        after: The same now.
    """

    def __init__(self, reference: CheckpointSource, expert: CheckpointSource) -> None:
        self.changed: dict[str, torch.Tensor] = {}
        self.layers = [0, 0]
        self.before = self.after = 0.0
        self._reference, self._expert = reference, expert

    def mlp(self, axes: Axes) -> None:
        """Aligns the neurons of one MLP."""
        ours, theirs = self._both(axes)
        units = ours[axes[0][0]].shape[0]
        found = assign(inner(ours, theirs, axes, units))
        if found.gains:
            self.layers[0] += 1
            self._gained(found.before, found.after)
            self.changed |= {name: permuted(theirs[name], axis, found.order, units) for name, axis in axes}

    def attention(self, module: Attention) -> None:
        """Aligns the heads of one attention module."""
        ours, theirs = self._both((*module.queries, *module.keys))
        found = assign_heads(
            inner(ours, theirs, module.queries, module.heads), inner(ours, theirs, module.keys, module.groups)
        )
        if found.gains:
            self.layers[1] += 1
            self._gained(found.before, found.after)
            for axes, order, units in (
                (module.queries, found.queries, module.heads),
                (module.keys, found.keys, module.groups),
            ):
                self.changed |= {name: permuted(theirs[name], axis, order, units) for name, axis in axes}

    @property
    def words(self) -> str:
        """The gain, in a sentence."""
        gain = f"{self.before:.4g} to {self.after:.4g}"
        return f"{self.layers[0]} MLPs and {self.layers[1]} attention modules got another order: similarity {gain}"

    def _both(self, axes: Axes) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        names = [name for name, _ in axes]
        return {n: self._reference.tensor(n) for n in names}, {n: self._expert.tensor(n) for n in names}

    def _gained(self, before: float, after: float) -> None:
        self.before += before
        self.after += after


def aligned(
    reference: CheckpointSource, expert: CheckpointSource, mlps: dict[str, Axes], modules: list[Attention]
) -> Aligned:
    """An expert in the reference's order, where that makes it more alike.

    Args:
        reference: Whose order.
        expert: The expert, in the reference's form.
        mlps: The reference's MLPs.
        modules: Its attention modules.
    """
    found = Aligned(reference, expert)
    for axes in mlps.values():
        found.mlp(axes)
    for module in modules:
        found.attention(module)
    return found


def _verify(live: LiveModel, expert: CheckpointSource, changed: dict[str, torch.Tensor], label: str) -> None:
    """Makes sure that a model computes what it did.

    Raises:
        InputError: If it does not.
    """
    write(live, {name: expert.tensor(name) for name in merged_names(expert)})
    before = _logits(live)
    write(live, changed)
    away = float((_logits(live) - before).abs().max() / before.abs().max())
    if not away <= _DIFFERENCE:
        raise InputError(
            f"{label}: in another order the model computes other logits ({away:.2g} of the largest, {_DIFFERENCE:.0e} "
            "is allowed), so its neurons or heads have further weights that are not known here; it cannot be aligned"
        )


@torch.no_grad()
def _logits(live: LiveModel) -> torch.Tensor:
    model: Any = live.model
    rows = len(model.get_input_embeddings().weight)
    ids = (torch.arange(_TOKENS) * _STEP) % rows
    return model(input_ids=ids[None].to(model.device), use_cache=False).logits.float()  # type: ignore[no-any-return]


def _cost(work: Work) -> Cost:
    """Inner products of all units of a layer with each other, for each expert; one short pass verifies the result."""
    each = sum(2.0 * max(shape) * shape[0] * shape[1] for shape in matrices(work))
    return Cost(0, len(work.experts) * each, 2 * FLOAT * elements(work))


TRANSFORM = Transform(
    name="align",
    summary="Neurons and heads in the order of the reference, where that makes an expert more alike; else nothing.",
    paper="Ainsworth et al. 2023, Git Re-Basin, https://arxiv.org/abs/2209.04836",
    make=_make,
    cost=_cost,
    models=(1, None),
    texts="none",
    several=True,
    agrees_with="the authors' code, and that of PLeaS",
)
