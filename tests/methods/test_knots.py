"""KnOTS by hand: deltas whose shared basis and blocks are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from evomerge import methods
from evomerge.contracts.method_cases import CONTEXT, family
from evomerge.methods import TensorContext
from tests.methods.one_tensor import merge

BASIS = torch.tensor([[0.6, 0.8], [0.8, -0.6]])
# Side by side their rows are orthogonal, of lengths 7.2 and 4.9.
BLOCKS = [torch.tensor([[4.0, 1.5], [-1.25, 2.0]]), torch.tensor([[-3.0, 5.0], [3.5, 2.5]])]
DELTAS = [BASIS @ block for block in BLOCKS]
PAPER: dict[str, Any] = {"weight": (1.0, 1.0), "density": (1.0, 1.0), "lambda": 1.0}


def merged_delta(deltas: Sequence[torch.Tensor], values: dict[str, Any] = PAPER, **options: Any) -> torch.Tensor:
    base = torch.ones_like(deltas[0])
    return merge(("knots", tuple(options.items())), [base + own for own in deltas], base, values) - base


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=2e-6, rtol=1e-5)


def test_blocks_are_elected_and_averaged_in_the_shared_basis() -> None:
    """4 beats -3 and 3.5 beats -1.25; the others agree."""
    wanted = BASIS @ torch.tensor([[4.0, 3.25], [3.5, 2.25]])
    close(merged_delta(DELTAS), wanted)
    close(merged_delta(DELTAS, PAPER | {"lambda": 0.5}), wanted / 2)


def test_blocks_are_trimmed_in_the_shared_basis() -> None:
    """The two largest elements of four, or with the paper's threshold three: 1.5 and -3, too."""
    values = PAPER | {"density": (0.5, 0.5)}
    close(merged_delta(DELTAS, values, kept="exact"), BASIS @ torch.tensor([[4.0, 5.0], [3.5, 2.0]]))
    close(merged_delta(DELTAS, values), BASIS @ torch.tensor([[4.0, 3.25], [3.5, 2.0]]))


def test_weights_multiply_what_agrees() -> None:
    values = PAPER | {"weight": (0.5, 2.0)}
    close(merged_delta(DELTAS, values), BASIS @ torch.tensor([[2.0, 5.375], [7.0, 3.0]]))


def test_turned_deltas_give_the_turned_result() -> None:
    """The basis turns with them, and the blocks stay; of TIES on the deltas that does not hold."""
    turn = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(3)))[0]
    _, models = family(2, (12, 7))
    deltas = [model - models[0].mean() for model in models]
    values = PAPER | {"density": (0.4, 0.6)}
    close(merged_delta([turn @ own for own in deltas], values), turn @ merged_delta(deltas, values))


def test_small_directions_are_left_out() -> None:
    close(merged_delta(DELTAS, least=5.0), BASIS @ torch.tensor([[4.0, 3.25], [0.0, 0.0]]))
    assert not merged_delta(DELTAS, least=8.0).any()


def test_tensors_that_are_no_matrix_are_averaged_or_left() -> None:
    deltas = [torch.tensor([2.0, 4.0]), torch.tensor([-4.0, 0.0])]
    close(merged_delta(deltas), torch.tensor([-1.0, 2.0]))
    weighted = PAPER | {"weight": (3.0, 1.0), "lambda": 0.5}
    close(merged_delta(deltas, weighted, normalise="weight"), torch.tensor([0.25, 1.5]))
    close(merged_delta(deltas, weighted, normalise="none"), torch.tensor([1.0, 6.0]))
    assert not merged_delta(deltas, others="base").any()


@pytest.mark.parametrize(("scope", "kept"), [("global", 0), ("tensor", 3)])
def test_a_density_is_of_all_matrices_together(scope: str, kept: int) -> None:
    """Of two matrices, one of which is a hundredth of the other, and a norm, which does not count."""
    method = methods.load("knots")
    options = method.resolve({"scope": scope, "kept": "exact"})
    base, (model,) = torch.zeros(4, 3), (torch.randn(4, 3, generator=torch.Generator().manual_seed(0)),)
    contexts = [CONTEXT, replace(CONTEXT, name="model.layers.1.mlp.up_proj.weight"), TensorContext("norm", kind="norm")]
    models = [model, model / 100, torch.ones(3)]
    tensors = [(c, method.sources(c, base, [m], options)) for c, m in zip(contexts[:2], models[:2], strict=True)]
    tensors.append((contexts[2], method.sources(contexts[2], torch.zeros(3), models[2:], options)))
    survey = None if method.survey is None else method.survey(tensors, options)
    out = torch.empty(4, 3)
    values = {"weight": (1.0,), "density": (0.5 if scope == "global" else 0.4,), "lambda": 1.0}
    method.merge(contexts[1], replace(tensors[1][1], survey=survey), values, out)
    basis = tensors[1][1].prepared["basis"]
    assert int((basis @ out).abs().gt(1e-6).sum()) == kept
