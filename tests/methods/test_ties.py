"""TIES: by hand."""

from __future__ import annotations

from typing import Any

import torch

from evomerge import methods
from tests.methods.one_tensor import merge

PAPER = (
    "ties",
    (("scope", "global"), ("kept", "threshold"), ("votes", "plain"), ("tie", "majority"), ("normalise", "count")),
)


def values(weight: tuple[float, ...], density: tuple[float, ...], scale: float = 1.0) -> dict[str, Any]:
    return {"weight": weight, "density": density, "lambda": scale}


BASE = torch.ones(5)
DELTAS = [torch.tensor(row) for row in ([4.0, -3.0, 2.0, 0.5, 1.0], [-1.0, -2.0, -6.0, 0.25, 3.0])]
MODELS = [BASE + delta for delta in DELTAS]


def merged_delta(options: dict[str, Any], coefficients: dict[str, Any]) -> list[float]:
    return (merge(("ties", tuple(options.items())), MODELS, BASE, coefficients) - BASE).tolist()


def test_the_example_with_the_defaults() -> None:
    # int(.6 * 5) = 3 kept of each: [4, -3, 2, 0, 0] and [0, -2, -6, 0, 3]; weighted .75 and .25:
    # [3, -2.25, 1.5, 0, 0] and [0, -.5, -1.5, 0, .75]; the third element is a tie and goes to plus.
    got = merged_delta({}, values((0.75, 0.25), (0.6, 0.6)))
    assert got == [4.0, -2.75, 2.0, 0.0, 3.0]


def test_the_example_with_other_ties_and_sums() -> None:
    coefficients = values((0.75, 0.25), (0.6, 0.6))
    assert merged_delta({"tie": "drop"}, coefficients) == [4.0, -2.75, 0.0, 0.0, 3.0]
    assert merged_delta({"normalise": "none"}, coefficients) == [3.0, -2.75, 1.5, 0.0, 0.75]
    assert merged_delta({"normalise": "count"}, coefficients) == [3.0, -1.375, 1.5, 0.0, 0.75]
    # Plain votes: 2 - 6 elects minus for the third element.
    assert merged_delta({"votes": "plain"}, coefficients) == [4.0, -2.75, -6.0, 0.0, 3.0]
    assert merged_delta({}, coefficients | {"lambda": 2.0}) == [8.0, -5.5, 4.0, 0.0, 6.0]


def test_the_example_as_in_the_paper() -> None:
    # density .4: int(.4 * 5) + 1 = 3 kept, as above; plain sums [4, -5, -4, 0, 3]; means of what agrees.
    got = (merge(PAPER, MODELS, BASE, values((1.0, 1.0), (0.4, 0.4))) - BASE).tolist()
    assert got == [4.0, -2.5, -6.0, 0.0, 3.0]


def test_the_example_as_in_code_that_is_given_what_to_drop() -> None:
    # A density of .5 of five elements drops int(.5 * 5) = 2 of them; counted from the other side 3 are kept, not 2.
    point = values((1.0, 1.0), (0.5, 0.5))
    assert merged_delta({"normalise": "count"}, point) == [4.0, -3.0, -6.0, 0.0, 3.0]
    assert merged_delta({"normalise": "count", "rounding": "up"}, point) == [4.0, -2.5, -6.0, 0.0, 3.0]
    # One more where the threshold is the next smaller element: the fifth of the first, the first of the second.
    plain = {"normalise": "count", "votes": "plain", "kept": "threshold", "rounding": "up"}
    assert merged_delta(plain, point) == [4.0, -2.5, -6.0, 0.0, 2.0]


def test_equal_elements_are_kept_together_if_told_so() -> None:
    base, model = torch.zeros(4), torch.tensor([1.0, -2.0, 2.0, 3.0])
    point = values((1.0,), (0.5,))
    assert merge(("ties", ()), [model], base, point).tolist() == [0.0, -2.0, 0.0, 3.0]
    assert merge(("ties", (("kept", "equals"),)), [model], base, point).tolist() == [0.0, -2.0, 2.0, 3.0]
    # One more from the next smaller element up, which is equal as well.
    assert merge(("ties", (("kept", "threshold"),)), [model], base, point).tolist() == [0.0, -2.0, 2.0, 3.0]


def test_signs_of_published_example() -> None:
    # Two deltas; opposite and equal elements elect plus, nobody's element elects nobody.
    base = torch.zeros(4)
    models = [torch.tensor([1.0, -1.0, 0.0, 2.0]), torch.tensor([-1.0, -3.0, 0.0, 0.0])]
    got = merge(("ties", ()), models, base, values((1.0, 1.0), (1.0, 1.0)))
    assert got.tolist() == [1.0, -2.0, 0.0, 2.0]


def test_majority_decides_where_votes_cancel() -> None:
    base = torch.zeros(4)
    models = [torch.tensor([1.0, -1.0, -1.0, 5.0]), torch.tensor([-1.0, -1.0, -3.0, -2.0])]
    variant = ("ties", (("tie", "majority"),))
    assert merge(variant, models, base, values((1.0, 1.0), (1.0, 1.0))).tolist() == [-1.0, -1.0, -2.0, 5.0]
    # As many plus as minus: there is no majority, and nothing is elected.
    models = [torch.tensor([1.0, -1.0, 3.0, 0.0]), torch.tensor([-1.0, -1.0, 0.0, 0.0])]
    assert merge(variant, models, base, values((1.0, 1.0), (1.0, 1.0))).tolist() == [0.0, -1.0, 3.0, 0.0]
    # The authors' code keeps what is negative then.
    variant = ("ties", (("tie", "majority_or_minus"),))
    assert merge(variant, models, base, values((1.0, 1.0), (1.0, 1.0))).tolist() == [-1.0, -1.0, 3.0, 0.0]


def test_mergekits_form_is_named_only_where_it_computes_the_same() -> None:
    ties = methods.load("ties")
    assert ties.mergekit(ties.resolve({})) == {"normalize": True, "rescale": False}
    assert ties.mergekit(ties.resolve({"normalise": "none", "rescale": "l1"})) == {"normalize": False, "rescale": True}
    for name, choice in [*PAPER[1], ("tie", "drop"), ("rescale", "inverse")]:
        assert ties.mergekit(ties.resolve({name: choice})) is None
