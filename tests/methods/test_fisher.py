"""Fisher merging: worked by hand, its end points, and whose information has a floor."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from evomerge.contracts.method_cases import family
from evomerge.contracts.statistics_cases import statistics_for
from evomerge.errors import InputError
from evomerge.methods import Need, TensorContext, load
from tests.methods.one_tensor import merge_given

EXACT = (("stored", "float32"), ("normalise", "none"))
MODELS = [torch.tensor([1.0, 1.0]), torch.tensor([5.0, 5.0])]
FISHER = (torch.tensor([3.0, 1e-4]), torch.tensor([1.0, 4e-4]))


def merged(weights: tuple[float, ...], exponent: float, *options: tuple[str, Any], fisher: Any = FISHER) -> list[float]:
    values = {"weight": weights, "exponent": exponent}
    return merge_given(("fisher", (*EXACT, *options)), MODELS, None, values, {"fisher": fisher}).tolist()


def test_the_example_by_hand() -> None:
    """3 to 1 is a quarter of the way; 1 to 4 four fifths of it."""
    assert merged((0.5, 0.5), 1.0) == pytest.approx([2.0, 4.2])
    # Weights of 1 to 3: 3 to 3, and 1 to 12.
    assert merged((1.0, 3.0), 1.0) == pytest.approx([3.0, 1 + 4 * 12 / 13])
    # Square roots: 1.732 to 1, and 1 to 2.
    assert merged((0.5, 0.5), 0.5) == pytest.approx([1 + 4 / (1 + 3**0.5), 1 + 4 * 2 / 3])


def test_the_end_points() -> None:
    assert merged((1.0, 3.0), 0.0) == [4.0, 4.0]
    assert merged((1.0, 0.0), 1.0) == [1.0, 1.0]
    same = torch.tensor([0.3, 0.7])
    assert merged((1.0, 3.0), 1.0, fisher=(same, same)) == pytest.approx([4.0, 4.0])
    assert merged((1.0, 3.0), 1.0, fisher=(None, same)) == [4.0, 4.0], "where one has none, weights alone count"


def test_the_floor() -> None:
    """Added or a least value, of all models or of one."""
    low, floor = (torch.zeros(2), torch.tensor([0.5, 0.1])), ("floor", 0.1)
    assert merged((1.0, 1.0), 1.0, floor, fisher=low) == pytest.approx([1 + 4 * 0.6 / 0.7, 1 + 4 * 0.2 / 0.3])
    raised = (floor, ("floored", "max"))
    assert merged((1.0, 1.0), 1.0, *raised, fisher=low) == pytest.approx([1 + 4 * 0.5 / 0.6, 3.0])
    assert merged((1.0, 1.0), 1.0, *raised, ("target", 1), fisher=low) == pytest.approx([5.0, 5.0])
    nobodys = (torch.zeros(2), torch.zeros(2), torch.ones(2))
    values = {"weight": (1.0, 3.0, 0.0), "exponent": 1.0}
    options = ("fisher", (*EXACT, ("target", 2), *raised))
    found = merge_given(options, [*MODELS, torch.zeros(2)], None, values, {"fisher": nobodys})
    assert found.tolist() == [4.0, 4.0], "none of those that take part has any"


def test_lengths() -> None:
    """A tensor's or, over all tensors, a model's: 5 and 10."""
    fisher = (torch.tensor([3.0, 4.0]), torch.tensor([6.0, 8.0]))
    for normalise in ("tensor", "model"):
        found = merged((1.0, 1.0), 1.0, ("normalise", normalise), fisher=fisher)
        assert found == pytest.approx([3.0, 3.0])
    method, options = load("fisher"), load("fisher").resolve({"normalise": "model"})
    tensors = [
        (TensorContext(name), method.sources(TensorContext(name), None, MODELS, options, {"fisher": arrays}))
        for name, arrays in {"a": fisher, "b": (torch.tensor([12.0, 0.0]), torch.zeros(2)), "c": (None, None)}.items()
    ]
    assert method.survey is not None
    assert method.survey(tensors, options) == pytest.approx([13.0, 10.0])
    assert method.survey(tensors[-1:], options) == []


def test_two_bytes_are_nearly_as_good() -> None:
    base, models = family(3)
    known = statistics_for([Need("fisher")], base, models)
    values = {"weight": (0.2, 0.3, 0.5), "exponent": 0.8}
    one, two = (merge_given(("fisher", (("stored", s),)), models, None, values, known) for s in ("float32", "bfloat16"))
    assert 0 < (one - two).abs().max() < 2e-3 * max((model - base).abs().max() for model in models)


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match=r"'fisher' of model 1 for tensor .* has shape \(3,\); expected \(2,\)"):
        merged((1.0, 1.0), 1.0, fisher=(torch.ones(2), torch.ones(3)))
    assert load("fisher").count_problems(2, load("fisher").resolve({"target": 2}))
    assert not load("fisher").symmetric_under(load("fisher").resolve({"target": 0}))
