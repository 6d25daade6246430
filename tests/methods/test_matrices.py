"""What methods that treat matrices alone do with which tensors."""

from __future__ import annotations

import pytest
import torch

from evomerge import methods
from evomerge.contracts.method_cases import same_bits
from evomerge.methods import TensorContext
from evomerge.methods._shared.matrices import MatrixDeltas

IN_LAYER = TensorContext("model.layers.1.self_attn.q_proj.weight", 1, "attention")
ROUTER = TensorContext("model.layers.1.mlp.gate.weight", 1, "router")
NORM = TensorContext("model.layers.1.input_layernorm.weight", 1, "norm")
EMBEDDING = TensorContext("model.embed_tokens.weight", None, "embedding")
HEAD = TensorContext("lm_head.weight", None, "head")
TOWER = TensorContext("vision_tower.layers.1.fc1.weight", 1, "other")
OPTIMISED = ("wudi", "optmerge", "swudi", "aswudi", "iwudi", "doge")


def merged(name: str, context: TensorContext, options: dict[str, str], shape: tuple[int, ...] = (4, 3)) -> torch.Tensor:
    """The update of a tensor whose two deltas are 0.5 and 1.5, with neutral coefficients."""
    method = methods.load(name)
    resolved = method.resolve(options | ({"scope": "tensor"} if name == "doge" else {}))
    base = torch.ones(shape)
    models = [base + 0.5, base + 1.5]
    values = {c.name: (c.neutral,) * 2 if c.per_model else c.neutral for c in method.coefficients(resolved)}
    out = torch.empty(shape)
    method.merge(context, method.sources(context, base, models, resolved), values | {"lambda": 0.5}, out)
    return out - base


@pytest.mark.parametrize("name", OPTIMISED)
def test_matrices_of_layers_are_optimised_and_all_else_stays(name: str) -> None:
    for context in (IN_LAYER, ROUTER):
        assert (merged(name, context, {}) != 0).any()
    for context in (EMBEDDING, HEAD, TOWER):
        assert not merged(name, context, {}).any()
    for shape in ((3,), (), (2, 2, 3)):
        assert not merged(name, NORM, {}, shape).any()


@pytest.mark.parametrize("name", OPTIMISED)
def test_the_rest_may_be_averaged_and_all_matrices_optimised(name: str) -> None:
    for context, shape in ((NORM, (3,)), (EMBEDDING, (4, 3)), (HEAD, (4, 3))):
        assert (merged(name, context, {"rest": "mean"}, shape) == 0.5).all()  # half of the mean delta, 1
    everything = {"matrices": "all", "rest": "mean"}
    assert torch.equal(merged(name, EMBEDDING, everything), merged(name, IN_LAYER, {}))
    assert (merged(name, HEAD, everything) == 0.5).all()


@pytest.mark.parametrize("name", OPTIMISED)
def test_a_model_like_the_base_counts_for_nothing(name: str) -> None:
    """Its delta has no length, so no direction."""
    method = methods.load(name)
    resolved = method.resolve({"scope": "tensor"} if name == "doge" else {})
    generator = torch.Generator().manual_seed(0)
    base, model = torch.randn(4, 3, generator=generator), torch.randn(4, 3, generator=generator)
    values = {c.name: (c.neutral,) * 2 if c.per_model else c.neutral for c in method.coefficients(resolved)}
    out = torch.empty(4, 3)
    for models in ([base, model], [base, base]):
        method.merge(IN_LAYER, method.sources(IN_LAYER, base, models, resolved), values, out)
        assert out.isfinite().all()
    assert same_bits(out, base)


def test_deltas_come_in_blocks_of_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evomerge.methods._shared.matrices._BLOCK", 6)
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(5, 3, generator=generator).bfloat16()
    models = [torch.randn(5, 3, generator=generator).bfloat16() for _ in range(2)]
    deltas, wholes = MatrixDeltas(base, models), [model.double() - base.double() for model in models]
    assert [len(rows[0]) for rows in deltas.blocks()] == [2, 2, 1]
    assert deltas.square_norms() == pytest.approx([float(whole.square().sum()) for whole in wholes])
    for found, whole in zip(deltas.grams(), wholes, strict=True):
        torch.testing.assert_close(found, whole.t() @ whole)
    maps = [torch.ones(3, 2, dtype=torch.float64), torch.zeros(3, 2, dtype=torch.float64)]
    torch.testing.assert_close(deltas.mapped(maps), wholes[0].sum(1, keepdim=True).expand(5, 2))
    torch.testing.assert_close(deltas.total(), wholes[0] + wholes[1])
