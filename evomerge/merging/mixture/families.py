"""Mixtures of experts as transformers has them: names of their tensors, and the dense models that become one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evomerge.errors import InputError

PROJECTIONS = ("gate_proj", "up_proj", "down_proj")
"""The matrices of a dense feed-forward block, in the order in which an expert's are written."""
_DENSE = re.compile(rf"(?P<layer>.*\.layers\.(?P<number>\d+)\.)mlp\.(?P<projection>{'|'.join(PROJECTIONS)})\.weight")


@dataclass(frozen=True)
class MixtureFamily:
    """One kind of mixture.

    Attributes:
        model_type: Its ``model_type``.
        architecture: Its causal language model.
        dense: The types of dense models whose feed-forward blocks become its experts.
        block: Name of the feed-forward block within a layer.
        matrices: The name of each of :data:`PROJECTIONS` within an expert.
        count: The config's field with the number of experts.
        width: The config's field with the width of an expert.
        fixed: Fields that every mixture built here has.
        shared: Whether a layer has one more expert that every token goes through.
    """

    model_type: str
    architecture: str
    dense: tuple[str, ...]
    block: str
    matrices: Mapping[str, str]
    count: str
    width: str
    fixed: Mapping[str, Any]
    shared: bool = False

    def expert(self, layer: str, number: int, projection: str) -> str:
        """The name of an expert's matrix; ``layer`` is the beginning of the layer's names, with its dot."""
        return f"{layer}{self.block}.experts.{number}.{self.matrices[projection]}.weight"

    def gate(self, layer: str) -> str:
        """The name of a layer's router."""
        return f"{layer}{self.block}.gate.weight"

    def shared_expert(self, layer: str, projection: str) -> str:
        """The name of a matrix of the expert that every token goes through."""
        return f"{layer}{self.block}.shared_expert.{projection}.weight"

    def shared_gate(self, layer: str) -> str:
        """The name of that expert's own gate."""
        return f"{layer}{self.block}.shared_expert_gate.weight"

    def expert_of(self, name: str) -> tuple[str, int, str] | None:
        """The beginning of the layer's names, the expert's number and the projection of a tensor; None of others."""
        own = {matrix: projection for projection, matrix in self.matrices.items()}
        pattern = rf"(.*\.layers\.\d+\.){re.escape(self.block)}\.experts\.(\d+)\.({'|'.join(own)})\.weight"
        found = re.fullmatch(pattern, name)
        return None if found is None else (found[1], int(found[2]), own[found[3]])


_NAMED = {name: name for name in PROJECTIONS}
_SPARSE = {"decoder_sparse_step": 1, "mlp_only_layers": [], "norm_topk_prob": True}
FAMILIES: Mapping[str, MixtureFamily] = {
    family.model_type: family
    for family in (
        MixtureFamily(
            "mixtral", "MixtralForCausalLM", ("llama", "mistral"), "block_sparse_moe",
            {"gate_proj": "w1", "up_proj": "w3", "down_proj": "w2"}, "num_local_experts", "intermediate_size", {},
        ),
        MixtureFamily(
            "qwen2_moe", "Qwen2MoeForCausalLM", ("qwen2",), "mlp", _NAMED, "num_experts", "moe_intermediate_size",
            _SPARSE, shared=True,
        ),
        MixtureFamily(
            "qwen3_moe", "Qwen3MoeForCausalLM", ("qwen3",), "mlp", _NAMED, "num_experts", "moe_intermediate_size",
            _SPARSE,
        ),
    )
}  # fmt: skip


def dense_part(name: str) -> tuple[str, int, str] | None:
    """Of a matrix of a dense feed-forward block the beginning of its layer's names, the layer, and the projection."""
    found = _DENSE.fullmatch(name)
    return None if found is None else (found["layer"], int(found["number"]), found["projection"])


def family_for(config: Mapping[str, Any], where: str) -> MixtureFamily:
    """The mixture that a dense model becomes.

    Raises:
        InputError: If there is none.
    """
    kind = config.get("model_type")
    for family in FAMILIES.values():
        if kind in family.dense:
            return family
    known = ", ".join(name for family in FAMILIES.values() for name in family.dense)
    raise InputError(f"{where} is of type {kind!r}; mixtures are built of dense models of type {known}")


def family_of(config: Mapping[str, Any], where: str) -> MixtureFamily:
    """The family of a model that is a mixture.

    Raises:
        InputError: If it is none of those known here.
    """
    kind = config.get("model_type")
    if kind not in FAMILIES:
        raise InputError(f"{where} is of type {kind!r}; experts are merged in models of type {', '.join(FAMILIES)}")
    return FAMILIES[str(kind)]
