"""A mixture of experts put together from dense models: feed-forward blocks copied, all other tensors of one model.

Which model that is, is free: a checkpoint, or any merge (Zhou et al. 2025, MergeME, https://arxiv.org/abs/2502.00997,
average the experts there). Each layer gets a router, one row per expert.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from evomerge.checkpoints import CheckpointSource, TensorSpec
from evomerge.errors import InputError
from evomerge.merging.mixture.config import mixture_config
from evomerge.merging.mixture.families import PROJECTIONS, MixtureFamily, dense_part, family_for

Experts = Sequence[tuple[str, CheckpointSource]]
"""The name of each expert in messages, and its source."""


class BuiltMixture:
    """A mixture of dense models; see :class:`~evomerge.checkpoints.CheckpointSource`.

    Args:
        dense: The model that everything but experts and routers comes from.
        experts: The models whose feed-forward blocks become the experts; a model may occur several times.
        gates: The router of every layer, ``(layers, experts, hidden)`` or the same for all ``(experts, hidden)``.
        per_token: How many experts a token goes through.

    Raises:
        InputError: If these models make no mixture; all problems.
    """

    def __init__(self, dense: CheckpointSource, experts: Experts, gates: torch.Tensor, per_token: int) -> None:
        where = str(dense.path)
        self._dense, self._experts, self._gates = dense, experts, gates
        self.family: MixtureFamily = family_for(dense.config, where)
        problems = [*_count_problems(len(experts), per_token), *_expert_problems(dense, experts)]
        problems += _gate_problems(dense, len(experts), gates)
        if problems:
            raise InputError(problems)
        self.path: Path = dense.path
        self.config: Mapping[str, Any] = mixture_config(dense.config, self.family, len(experts), per_token, where)
        self.aliases: Mapping[str, str] = dense.aliases
        self._made: dict[str, tuple[str, int | None, int]] = {}  # the dense name, the expert (None: none), the layer
        self.specs: Mapping[str, TensorSpec] = self._specs()

    def _specs(self) -> dict[str, TensorSpec]:
        found: dict[str, TensorSpec] = {}
        for name, spec in self._dense.specs.items():
            part = dense_part(name)
            if part is None:
                found[name] = spec
                continue
            layer, number, projection = part
            hidden = spec.shape[0 if projection == "down_proj" else 1]
            gate = self.family.gate(layer)
            if gate not in found:
                found[gate] = TensorSpec(spec.dtype, (len(self._experts), hidden))
                self._made[gate] = (name, None, number)
                found |= self._shared(layer, name, number, hidden, spec.dtype)
            for expert in range(len(self._experts)):
                own = self.family.expert(layer, expert, projection)
                found[own] = spec
                self._made[own] = (name, expert, number)
        return found

    def _shared(self, layer: str, name: str, number: int, hidden: int, dtype: torch.dtype) -> dict[str, TensorSpec]:
        """An expert for all tokens that adds nothing: of width one, and zeros, since the type has to have one."""
        if not self.family.shared:
            return {}
        shapes = {self.family.shared_gate(layer): (1, hidden)}
        for projection in PROJECTIONS:
            shapes[self.family.shared_expert(layer, projection)] = (
                (hidden, 1) if projection == "down_proj" else (1, hidden)
            )
        self._made |= dict.fromkeys(shapes, (name, None, number))
        return {own: TensorSpec(dtype, shape) for own, shape in shapes.items()}

    def tensor(self, name: str) -> torch.Tensor:
        """The values of one tensor: of an expert those of its model, rounded as the other tensors are."""
        if name not in self._made:
            return self._dense.tensor(name)
        stored, expert, layer = self._made[name]
        spec = self.specs[name]
        if expert is not None:
            return self._experts[expert][1].tensor(stored).to(spec.dtype)
        if not name.endswith(f"{self.family.block}.gate.weight"):
            return torch.zeros(spec.shape, dtype=spec.dtype)
        return (self._gates if self._gates.ndim == 2 else self._gates[layer]).to(spec.dtype)

    def in_place(self, name: str) -> bool:
        """Whether :meth:`tensor` gives a view of a mapped file."""
        return name not in self._made and self._dense.in_place(name)

    def file(self, name: str) -> Path:
        """The file that holds a tensor's values, for messages."""
        stored, expert, _ = self._made.get(name, (name, None, 0))
        return (self._dense if expert is None else self._experts[expert][1]).file(stored)

    def fingerprint(self) -> str:
        """That of the folder once it is written; nothing asks before."""
        raise NotImplementedError("a mixture has a fingerprint once it is written")

    def release(self) -> None:
        """Gives up what the models keep for reading."""
        for source in (self._dense, *(expert for _, expert in self._experts)):
            source.release()


def layers_of(dense: CheckpointSource) -> dict[int, list[str]]:
    """The matrices of the feed-forward block of each layer of a dense model."""
    found: dict[int, list[str]] = {}
    for name in dense.specs:
        if (part := dense_part(name)) is not None:
            found.setdefault(part[1], []).append(name)
    return found


def _count_problems(experts: int, per_token: int) -> list[str]:
    if experts < 2:
        return [f"experts: a mixture has at least two experts, got {experts}; one is a plain merge"]
    if not 1 <= per_token <= experts:
        return [f"per_token: expected 1 to {experts}, the number of experts, got {per_token}"]
    return []


def _expert_problems(dense: CheckpointSource, experts: Experts) -> list[str]:
    blocks = layers_of(dense)
    problems = [
        f"{str(dense.path)!r}: layer {number} has no plain feed-forward block of {', '.join(PROJECTIONS)}"
        for number in range(max(blocks, default=-1) + 1)
        if len(blocks.get(number, ())) != len(PROJECTIONS)
    ]
    if not blocks:
        problems.append(f"{str(dense.path)!r} has no feed-forward blocks of {', '.join(PROJECTIONS)}")
    more = [name for name in dense.specs if ".mlp." in name and dense_part(name) is None]
    if more:
        problems.append(f"{str(dense.path)!r} has {more[0]!r}, for which an expert has no place")
    for label, expert in {id(source): (label, source) for label, source in experts}.values():
        for name in (name for names in blocks.values() for name in names):
            found, wanted = expert.specs.get(name), tuple(dense.specs[name].shape)
            if found is None or tuple(found.shape) != wanted:
                got = "none" if found is None else f"one of shape {tuple(found.shape)}"
                problems.append(f"{label}: expected a tensor {name!r} of shape {wanted}, there is {got}")
                break  # the others are told by this one
    return problems


def _gate_problems(dense: CheckpointSource, experts: int, gates: torch.Tensor) -> list[str]:
    blocks = layers_of(dense)
    downs = [name for names in blocks.values() for name in names if name.endswith("down_proj.weight")]
    hidden = dense.specs[downs[0]].shape[0] if downs else 0
    wanted = ((experts, hidden), (len(blocks), experts, hidden))
    if tuple(gates.shape) not in wanted:
        return [f"gates: expected shape {wanted[0]} or {wanted[1]}, got {tuple(gates.shape)}"]
    return [] if bool(gates.isfinite().all()) else ["gates: some values are not finite"]
