"""Placement is transformers' own conversion, written as copies: any order of elements that it makes can be repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.conversion_mapping import (
    get_checkpoint_conversion_mapping,
    register_checkpoint_conversion_mapping,
)
from transformers.core_model_loading import (
    Chunk,
    Concatenate,
    ConversionOps,
    Interleave,
    MergeModulelist,
    PermuteForRope,
    Transpose,
    WeightConverter,
    WeightRenaming,
    WeightTransform,
)

from evomerge.errors import InputError
from evomerge.merging.weight_map import weight_map

Q, K, V = (f"self_attn.{name}_proj.weight" for name in "qkv")


def tiny_model() -> LlamaForCausalLM:
    config = LlamaConfig(hidden_size=8, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, vocab_size=10)
    with torch.device("meta"):
        return LlamaForCausalLM(config)


@pytest.fixture
def converting() -> Iterator[Callable[[list[WeightTransform]], LlamaForCausalLM]]:
    """A Llama whose checkpoints transformers converts in a given way."""
    before = get_checkpoint_conversion_mapping("llama")

    def register(transforms: list[WeightTransform]) -> LlamaForCausalLM:
        register_checkpoint_conversion_mapping("llama", transforms, overwrite=True)
        return tiny_model()

    yield register
    register_checkpoint_conversion_mapping("llama", before or [], overwrite=True)


def installed(model: nn.Module, disk: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies disk tensors piece by piece into parameters full of -1."""
    pieces = weight_map(model, {name: tuple(tensor.shape) for name, tensor in disk.items()})
    memory = {name: torch.full(tensor.shape, -1.0) for name, tensor in model.state_dict().items()}
    for name, tensor in disk.items():
        for piece in pieces[name]:
            piece.of_target(memory[piece.target]).copy_(piece.of_source(tensor))
    return memory


def test_split_into_three(converting: Callable[..., LlamaForCausalLM]) -> None:
    model = converting([WeightConverter("self_attn.qkv.weight", [Q, K, V], [Chunk(dim=0)])])
    fused = torch.randn(24, 8)
    memory = installed(model, {"model.layers.0.self_attn.qkv.weight": fused})
    for name, part in zip((Q, K, V), fused.chunk(3), strict=True):
        assert torch.equal(memory[f"model.layers.0.{name}"], part)


def test_joined_from_two(converting: Callable[..., LlamaForCausalLM]) -> None:
    model = converting([WeightConverter(["mlp.a.weight", "mlp.b.weight"], "mlp.up_proj.weight", [Concatenate(dim=1)])])
    a, b = torch.randn(12, 3), torch.randn(12, 5)
    memory = installed(model, {"model.layers.0.mlp.a.weight": a, "model.layers.0.mlp.b.weight": b})
    assert torch.equal(memory["model.layers.0.mlp.up_proj.weight"], torch.cat([a, b], dim=1))


def test_stacked(converting: Callable[..., LlamaForCausalLM]) -> None:
    model = converting([WeightConverter("parts.*.vector", "self_attn.o_proj.weight", [MergeModulelist(dim=0)])])
    # Eleven would sort before two as text; here the order must be that of the numbers.
    vectors = {f"model.layers.0.parts.{i}.vector": torch.randn(8) for i in (7, 0, 3, 1, 2, 4, 6, 5)}
    memory = installed(model, vectors)
    expected = torch.stack([vectors[f"model.layers.0.parts.{i}.vector"] for i in range(8)])
    assert torch.equal(memory["model.layers.0.self_attn.o_proj.weight"], expected)


@pytest.mark.parametrize(
    "operation",
    [Transpose(0, 1), Interleave(dim=0), Interleave(dim=1), Interleave(dim=0, inverse=True), PermuteForRope()],
    ids=repr,
)
def test_one_tensor_in_another_order(converting: Callable[..., LlamaForCausalLM], operation: ConversionOps) -> None:
    source, target = "self_attn.other.weight", "self_attn.o_proj.weight"
    model = converting([WeightConverter(source, target, [operation])])
    tensor = torch.randn(8, 8)
    expected = operation.convert(
        {source: [tensor]}, source_patterns=[source], target_patterns=[target], config=model.config
    )[target]
    memory = installed(model, {f"model.layers.0.{source}": tensor})
    assert torch.equal(memory[f"model.layers.0.{target}"], expected)


def test_operations_in_a_row(converting: Callable[..., LlamaForCausalLM]) -> None:
    operations = [Interleave(dim=0), Chunk(dim=0)]
    targets = ["mlp.gate_proj.weight", "mlp.up_proj.weight"]
    model = converting([WeightConverter("mlp.fused.weight", targets, operations)])
    fused = torch.randn(24, 8)
    memory = installed(model, {"model.layers.0.mlp.fused.weight": fused})
    assert torch.equal(memory["model.layers.0.mlp.gate_proj.weight"], fused[0::2])
    assert torch.equal(memory["model.layers.0.mlp.up_proj.weight"], fused[1::2])


def test_renamed_and_left_alone(converting: Callable[..., LlamaForCausalLM]) -> None:
    model = converting([WeightRenaming(r"^old\.", "model.")])
    shapes = {"old.norm.weight": (8,), "lm_head.weight": (10, 8), "unknown.weight": (3,)}
    tensors = {name: torch.randn(shape) for name, shape in shapes.items()}
    memory = installed(model, tensors)
    assert torch.equal(memory["model.norm.weight"], tensors["old.norm.weight"])
    assert torch.equal(memory["lm_head.weight"], tensors["lm_head.weight"])
    assert weight_map(model, {"unknown.weight": (3,)}) == {"unknown.weight": ()}


class _Arithmetic(ConversionOps):
    """Conversions that are no copies, as dequantising would be."""

    def __init__(self, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.change = change

    def convert(
        self, input_dict: dict, source_patterns: list[str], target_patterns: list[str], **kwargs: object
    ) -> dict[str, torch.Tensor]:
        (tensors,) = input_dict.values()
        return {target_patterns[0]: self.change(tensors[0])}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tensor: tensor + 1, "only moving elements"),
        (lambda tensor: tensor.float(), "only moving elements"),
        (lambda tensor: tensor[:1].expand(8, 8), "repeats elements"),
        (lambda tensor: tensor.reshape(-1)[_SHUFFLED.to(tensor.device)].reshape(8, 8), "irregular order"),
        (lambda tensor: tensor[:4], "wants"),
    ],
    ids=["adds", "casts", "repeats", "shuffles", "misses"],
)
def test_what_is_no_regular_copy_is_refused(
    converting: Callable[..., LlamaForCausalLM], change: Callable[[torch.Tensor], torch.Tensor], reason: str
) -> None:
    operation = _Arithmetic(change)
    model = converting([WeightConverter("self_attn.other.weight", "self_attn.o_proj.weight", [operation])])
    with pytest.raises(InputError, match=reason):
        weight_map(model, {"model.layers.0.self_attn.other.weight": (8, 8)})


_SHUFFLED = torch.randperm(64, generator=torch.Generator().manual_seed(0))
