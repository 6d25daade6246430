"""A mixture with fewer experts: each is the weighted mean of a group of experts, and so is its row of the router.

The weights are how often an expert was used, to some power (Li et al. 2024, Merge, then compress,
https://arxiv.org/abs/2310.01334). Where one expert is left, the model is a dense one and needs no router.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from evomerge.checkpoints import CheckpointSource, TensorSpec
from evomerge.errors import InputError
from evomerge.kernels import Mixture, Part, flat, mix
from evomerge.merging.mixture.config import condensed_config, dense_config
from evomerge.merging.mixture.families import MixtureFamily, family_of


@dataclass(frozen=True)
class Grouping:
    """The experts that become one, in one layer.

    Attributes:
        groups: Numbers of the experts of each group; every expert is in exactly one.
        weights: The weight of every expert within its group, ``(experts,)``, each group's summing to one.
    """

    groups: tuple[tuple[int, ...], ...]
    weights: tuple[float, ...]


class CondensedMixture:
    """A mixture whose experts are merged in groups; see :class:`~evomerge.checkpoints.CheckpointSource`.

    Args:
        source: The larger mixture.
        groupings: Of each layer with experts, by the beginning of its names (``model.layers.0.``); equally many groups.

    Raises:
        InputError: If the source is no mixture that is known, or the groups do not fit it; all problems.
    """

    def __init__(self, source: CheckpointSource, groupings: Mapping[str, Grouping]) -> None:
        self._source, self._groupings = source, groupings
        self.family: MixtureFamily = family_of(source.config, str(source.path))
        layers = gate_names(source)
        counts = {len(grouping.groups) for grouping in groupings.values()}
        problems = _problems(self.family, source, layers, groupings)
        if len(counts) != 1:
            problems.append(f"experts: expected equally many in all layers, got {sorted(counts)}")
        if problems:
            raise InputError(problems)
        self.experts = counts.pop()
        self.dense = self.experts == 1 and not self.family.shared
        self.path: Path = source.path
        self.config: Mapping[str, Any] = (
            dense_config(source.config, self.family, str(source.path))
            if self.dense
            else condensed_config(source.config, self.family, self.experts)
        )
        self.aliases: Mapping[str, str] = source.aliases
        self._made: dict[str, tuple[list[str], list[float]]] = {}
        self._gates: dict[str, str] = {}
        self.specs: Mapping[str, TensorSpec] = self._specs(layers)

    def _specs(self, layers: Mapping[str, str]) -> dict[str, TensorSpec]:
        found: dict[str, TensorSpec] = {}
        gates = {name: layer for layer, name in layers.items()}
        for name, spec in self._source.specs.items():
            part = self.family.expert_of(name)
            if name in gates:
                if not self.dense:
                    found[name] = TensorSpec(spec.dtype, (self.experts, *spec.shape[1:]))
                    self._gates[name] = gates[name]
            elif part is None:
                found[name] = TensorSpec(spec.dtype, tuple(spec.shape))
            elif part[1] < self.experts:  # the group of that number has its place
                layer, group, projection = part
                members = self._groupings[layer].groups[group]
                own = f"{layer}mlp.{projection}.weight" if self.dense else self.family.expert(layer, group, projection)
                names = [self.family.expert(layer, member, projection) for member in members]
                self._made[own] = (names, [self._groupings[layer].weights[member] for member in members])
                found[own] = TensorSpec(spec.dtype, tuple(spec.shape))
        return found

    def tensor(self, name: str) -> torch.Tensor:
        """The values of one tensor: of an expert the weighted mean over its group, in float32, rounded once."""
        if name in self._gates:
            grouping, rows = self._groupings[self._gates[name]], self._source.tensor(name)
            return torch.stack(
                [_mean([rows[member] for member in group], [grouping.weights[member] for member in group])
                 for group in grouping.groups]
            )  # fmt: skip
        if name not in self._made:
            return self._source.tensor(name)
        names, weights = self._made[name]
        return _mean([self._source.tensor(own) for own in names], weights)

    def in_place(self, name: str) -> bool:
        """Whether :meth:`tensor` gives a view of a mapped file."""
        return name not in self._made and name not in self._gates and self._source.in_place(name)

    def file(self, name: str) -> Path:
        """The file that holds a tensor's values, or the first of them."""
        return self._source.file(self._made[name][0][0] if name in self._made else name)

    def fingerprint(self) -> str:
        """That of the folder once it is written; nothing asks before."""
        raise NotImplementedError("a mixture has a fingerprint once it is written")

    def release(self) -> None:
        """Gives up what the larger mixture keeps for reading."""
        self._source.release()


def gate_names(source: CheckpointSource) -> dict[str, str]:
    """The routers of a mixture: the beginning of the layer's names to the router's name.

    Raises:
        InputError: If the source is no mixture that is known.
    """
    family = family_of(source.config, str(source.path))
    end = f"{family.block}.gate.weight"
    return {name.removesuffix(end): name for name in source.specs if name.endswith(f".{end}")}


def _mean(tensors: Sequence[torch.Tensor], weights: Sequence[float]) -> torch.Tensor:
    if len(tensors) == 1:
        return tensors[0]
    out = torch.empty_like(tensors[0], memory_format=torch.contiguous_format)
    parts = [Part(flat(tensor), weight) for tensor, weight in zip(tensors, weights, strict=True) if weight != 0]
    mix(Mixture(None, parts), out)
    return out


def _problems(
    family: MixtureFamily, source: CheckpointSource, layers: Mapping[str, str], groupings: Mapping[str, Grouping]
) -> list[str]:
    problems = [f"{layer.rstrip('.')}: its experts have no groups" for layer in layers if layer not in groupings]
    for layer, grouping in groupings.items():
        if layer not in layers:
            problems.append(f"{layer.rstrip('.')} has no router")
            continue
        count = source.specs[layers[layer]].shape[0]
        absent = [name for e in range(count) for p in family.matrices if (name := family.expert(layer, e, p))
                  not in source.specs]  # fmt: skip
        if absent:
            problems.append(f"{str(source.path)!r} has no tensor {absent[0]!r}, nor a stack of experts that is known")
        if sorted(member for group in grouping.groups for member in group) != list(range(count)):
            problems.append(
                f"{layer.rstrip('.')}: expected each of {count} experts in one group, got {grouping.groups}"
            )
        if len(grouping.weights) != count:
            problems.append(f"{layer.rstrip('.')}: expected {count} weights, got {len(grouping.weights)}")
    return problems
