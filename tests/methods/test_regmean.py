"""RegMean: worked by hand, all forms of the same solution, and what has no Gram matrix."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from evomerge.contracts.method_cases import family
from evomerge.contracts.statistics_cases import statistics_for
from evomerge.errors import InputError
from evomerge.methods import Need, TensorContext, load
from tests.methods.one_tensor import merge_given

MODELS = [torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])]
GRAMS = (torch.tensor([[2.0, 1.0], [1.0, 2.0]]), torch.eye(2))
FIXED = ("weights", "fixed")
EVEN = (0.5, 0.5)


def merged(values: dict[str, Any], *options: tuple[str, Any], grams: Any = GRAMS, models: Any = None) -> torch.Tensor:
    return merge_given(("regmean", options), models or MODELS, None, values, {"gram": grams})


def close(found: torch.Tensor, wanted: Any) -> None:
    torch.testing.assert_close(found, torch.as_tensor(wanted), rtol=0, atol=3e-6)


@pytest.mark.parametrize(("alpha", "wanted"), [(1.0, [[0.5, 0.5]]), (0.5, [[0.6, 0.4]]), (0.0, [[2 / 3, 1 / 3]])])
def test_the_example_by_hand(alpha: float, wanted: list[list[float]]) -> None:
    """The Gram matrices add up to (3, a; a, 3), the models times theirs to (2, 1 + a); in every form."""
    close(merged({"weight": EVEN, "alpha": alpha}), wanted)
    close(merged({"alpha": alpha}, FIXED), wanted)
    close(merged({"weight": EVEN}, ("alpha", alpha)), wanted)


def test_weights_by_hand() -> None:
    """Twice as much of the first: (5, 2a; 2a, 5) and (4, 2a + 1), here with a = 1/2."""
    wanted = torch.linalg.solve(torch.tensor([[5.0, 1.0], [1.0, 5.0]]), torch.tensor([4.0, 2.0]))[None]
    close(merged({"weight": (2.0, 1.0), "alpha": 0.5}), wanted)
    close(merged({"weight": (2.0, 1.0)}, ("alpha", 0.5)), wanted)
    close(merged({"weight": (2.0, 1.0)}, ("alpha", 0.0)), [[0.8, 0.2]])


@pytest.mark.parametrize("count", [2, 3])
def test_every_form_solves_the_same_equations(count: int) -> None:
    _, models = family(count, (13, 9))
    grams = statistics_for([Need("gram")], None, models)["gram"]
    weights, equal = (0.2, 0.5, 0.3)[:count], (1.0,) * count

    def solved(alpha: float, weights: tuple[float, ...]) -> torch.Tensor:
        own = [g.double() * alpha + g.double().diagonal().diag() * (1 - alpha) for g in grams if g is not None]
        right = sum(w * g @ m.double().t() for w, g, m in zip(weights, own, models, strict=True))
        return torch.linalg.solve(sum(w * g for w, g in zip(weights, own, strict=True)), right).t().float()

    for alpha in (0.05, 0.5, 0.9, 1.0):
        given = {"grams": grams, "models": models}
        close(merged({"weight": weights, "alpha": alpha}, **given), solved(alpha, weights))
        close(merged({"weight": weights}, ("alpha", alpha), **given), solved(alpha, weights))
        close(merged({"alpha": alpha}, FIXED, **given), solved(alpha, equal))
    close(merged({"weight": weights}, ("alpha", 0.0), grams=grams, models=models), solved(0.0, weights))


@pytest.mark.parametrize("options", [(), (FIXED,), (("alpha", 0.7),), (("alpha", 0.0),)])
def test_inputs_of_one_kind_give_the_mean(options: Any) -> None:
    """With the Gram matrix of one model for all, the identity or another."""
    _, models = family(2, (13, 9))
    (gram, _) = statistics_for([Need("gram")], None, models)["gram"]
    method = load("regmean")
    values = {c.name: (1.0, 1.0) if c.per_model else 0.6 for c in method.coefficients(method.resolve(dict(options)))}
    for own in (torch.eye(9), gram):
        close(merged(values, *options, grams=(own, own), models=models), torch.stack(models).mean(0))


@pytest.mark.parametrize("options", [(), (FIXED,), (("alpha", 1.0),)])
def test_what_no_text_tells_apart_is_averaged(options: Any) -> None:
    """A channel that nobody uses, and directions that no input has: fewer tokens than channels."""
    _, models = family(2, (13, 9))
    tokens = torch.randn(2, 4, 9, generator=torch.Generator().manual_seed(3))
    tokens[:, :, 5] = 0.0
    grams = tuple(own.t() @ own / 4 for own in tokens)
    method = load("regmean")
    values = {c.name: (1.0, 1.0) if c.per_model else 1.0 for c in method.coefficients(method.resolve(dict(options)))}
    found = merged(values, *options, grams=grams, models=models)
    close(found[:, 5], torch.stack(models).mean(0)[:, 5])
    for own, model in zip(tokens, models, strict=True):  # 8 tokens in 8 dimensions: both can be met
        torch.testing.assert_close(own @ found.t(), own @ model.t(), rtol=0, atol=2e-3)


def test_a_diagonal_is_enough() -> None:
    """Wide inputs have it alone, and matrices that are stored the other way round."""
    wanted, diagonals = [[2 / 3, 1 / 3]], (torch.tensor([2.0, 2.0]), torch.ones(2))
    close(merged({"weight": EVEN, "alpha": 0.9}, grams=diagonals), wanted)
    close(merged({"alpha": 0.9}, FIXED, grams=(torch.eye(2) * 2, diagonals[1])), wanted)
    turned = merged(
        {"weight": EVEN, "alpha": 0.9}, grams=[own[:, None] for own in diagonals], models=[m.t() for m in MODELS]
    )
    close(turned, [[2 / 3], [1 / 3]])
    unused = (torch.tensor([2.0, 0.0]), torch.tensor([1.0, 0.0]))
    close(merged({"weight": (3.0, 1.0)}, ("alpha", 0.0), grams=unused), [[6 / 7, 1 / 4]])


def test_everything_else_is_averaged() -> None:
    values = {"weight": (3.0, 1.0), "alpha": 0.5}
    close(merged(values, grams=(None, torch.eye(2))), [[0.75, 0.25]])
    close(merged(values, ("excluded", r"up_proj|norm")), [[0.75, 0.25]])
    assert merged({"weight": (0.0, 1.0), "alpha": 0.5}).tolist() == [[0.0, 1.0]], "one alone stays as it is"
    method, options = load("regmean"), load("regmean").resolve({})
    assert method.prepares is not None
    assert method.prepares(TensorContext("lm_head.weight", kind="head"), (4, 2), options)
    assert not method.prepares(TensorContext("model.embed_tokens.weight", kind="embedding"), (4, 2), options)
    assert not method.prepares(TensorContext("model.norm.weight", kind="norm"), (4,), options)


def test_what_is_refused() -> None:
    method = load("regmean")
    assert (
        "nothing is left to search" in method.count_problems(2, method.resolve({"weights": "fixed", "alpha": 0.5}))[0]
    )
    assert "no regular expression" in method.count_problems(2, method.resolve({"excluded": "("}))[0]
    with pytest.raises(InputError, match=r"'gram' of model 0 .* has shape \(3, 3\); expected \(2, 2\) or \(2,\) or"):
        merged({"weight": EVEN, "alpha": 0.5}, grams=(torch.eye(3), torch.eye(2)))
