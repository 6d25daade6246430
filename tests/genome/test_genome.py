"""The search space: every layout by hand where it is small, and as a bijection by random sampling everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from evomerge.errors import InputError
from evomerge.genome import BASES, LAYOUTS, GenomeSettings, GenomeSpec, NotExpressible, build
from evomerge.recipe import CheckpointRef, Coefficient, Group, ParameterGroups, Recipe

LAYERS = 6
PARTS = ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "input_layernorm")
NAMES = [
    "model.embed_tokens.weight",
    *(f"model.layers.{layer}.{part}.weight" for layer in range(LAYERS) for part in PARTS),
    "model.norm.weight",
    "lm_head.weight",
]
A, B, C = (CheckpointRef(f"experts/{letter}") for letter in "abc")
BASE = CheckpointRef("base")

WEIGHT = Coefficient("weight", -0.5, 1.5, 1.0)
DENSITY = Coefficient("density", 0.1, 1.0, 1.0, minimum=0.0, maximum=1.0)
LAMBDA = Coefficient("lambda", 0.0, 2.0, 1.0, per_model=False, searched=False)
SHARE = Coefficient("weight", 0.0, 1.0, 1.0, simplex=True)
T = Coefficient("t", 0.0, 1.0, 0.0, per_model=False, minimum=0.0, maximum=1.0)


def template(sources: Sequence[CheckpointRef] = (A, B, C), **changes: Any) -> Recipe:
    fields: dict[str, Any] = {"method": "ties", "options": {}, "base": BASE, "groups": ParameterGroups(())}
    return Recipe(sources=tuple(sources), **{**fields, **changes})


def space(
    declared: Sequence[Coefficient] = (WEIGHT,),
    models: Sequence[CheckpointRef] = (A, B, C),
    names: Sequence[str] = NAMES,
    **settings: Any,
) -> GenomeSpec:
    return build(GenomeSettings(**settings), declared, template(models), names)


def every_space() -> list[Any]:
    found = []
    for layout in LAYOUTS:
        for split in (False, True):
            for basis in BASES if layout == "smooth" else ("points",):
                for declared in ((WEIGHT, DENSITY, LAMBDA), (SHARE, DENSITY), (T,)):
                    settings = {"layout": layout, "split_kinds": split, "basis": basis, "control_points": 3}
                    names = "+".join(c.name + "%" * c.simplex for c in declared)
                    name = f"{layout}-{basis}-{'split' if split else 'whole'}-{names}"
                    found.append(pytest.param(declared, settings, id=name))
    return found


@pytest.mark.parametrize(("declared", "settings"), every_space())
def test_genomes_and_recipes_are_one_to_one(declared: Sequence[Coefficient], settings: dict[str, Any]) -> None:
    """Random genomes of the open cube: back and forth, all different, in bounds and on the simplex."""
    genome = space(declared, **settings)
    random = np.random.default_rng(7)
    digests = set()
    for _ in range(25):
        x = random.uniform(0.001, 0.999, genome.n_var)
        recipe = genome.decode(x)
        digests.add(recipe.digest)
        assert np.abs(genome.encode(recipe) - x).max() < 1e-9
        nudged = x.copy()
        nudged[random.integers(genome.n_var)] += 1e-6
        digests.add(genome.decode(nudged).digest)
        for coefficient in declared:
            values = recipe.coefficients[coefficient.name]
            if coefficient.simplex:
                assert (values >= 0.0).all()
                assert np.abs(values.sum(axis=1) - 1.0).max() < 1e-12
            else:
                assert coefficient.low <= values.min() <= values.max() <= coefficient.high
    assert len(digests) == 50


@pytest.mark.parametrize(("declared", "settings"), every_space())
def test_corners_of_the_cube_stay_in_bounds(declared: Sequence[Coefficient], settings: dict[str, Any]) -> None:
    genome = space(declared, **settings)
    random = np.random.default_rng(8)
    for x in [np.zeros(genome.n_var), np.ones(genome.n_var), *random.integers(0, 2, (20, genome.n_var)).astype(float)]:
        recipe = genome.decode(x)
        for coefficient in declared:
            values = recipe.coefficients[coefficient.name]
            assert coefficient.low <= values.min()
            assert values.max() <= coefficient.high


@pytest.mark.parametrize(("declared", "settings"), every_space())
def test_labels_name_every_gene_once(declared: Sequence[Coefficient], settings: dict[str, Any]) -> None:
    genome = space(declared, **settings)
    assert len(genome.labels) == genome.n_var == len(set(genome.labels))


def test_gene_counts_by_hand() -> None:
    """Three experts; embedding, norms and head are groups of their own unless said otherwise."""
    assert space(layout="model").n_var == 3 * 4
    assert space(layout="model", own_groups=()).n_var == 3
    assert space(layout="blocks", block_size=4).n_var == 3 * (3 + 2)
    assert space(layout="layer").n_var == 3 * (3 + 6)
    assert space(layout="layer", split_kinds=True).n_var == 3 * (3 + 12)
    assert space(layout="linear").n_var == 3 * (3 + 2)
    assert space(layout="smooth", control_points=4, split_kinds=True).n_var == 3 * (3 + 8)
    assert space((SHARE,), layout="layer").n_var == 2 * (3 + 6), "n - 1 genes where only proportions matter"
    assert space((WEIGHT, DENSITY), layout="layer", shared=("density",)).n_var == 3 * 9 + 3
    assert space((T,), models=(A, B), layout="layer").n_var == 9, "a coefficient shared by the models is one gene"


def test_labels_by_hand() -> None:
    genome = space((WEIGHT, DENSITY), models=(A, B), layout="layer", split_kinds=True, shared=("density",))
    assert genome.labels[:2] == ("weight[a] norm", "weight[b] norm")
    assert "weight[b] layer 3 attention" in genome.labels
    assert genome.labels[-2:] == ("density[a] all", "density[b] all")
    assert "weight[a] depth 50% mlp" in space(layout="smooth", control_points=3, split_kinds=True).labels
    assert space((SHARE,), models=(A, B), layout="blocks").labels[-1] == "weight[a] layers 4-5"
    twins = space(models=(A, CheckpointRef("other/a")), layout="model", own_groups=())
    assert twins.labels == ("weight[a#0] model", "weight[a#1] model")


def test_groups_hold_every_tensor_and_no_more() -> None:
    genome = space(layout="layer", split_kinds=True)
    rows = {genome.template.groups.index(name) for name in NAMES}
    assert rows == set(range(len(genome.groups))), "no group without a tensor, no gene without an effect"
    tied = space(names=[name for name in NAMES if name != "lm_head.weight"])
    assert "head" not in [group.label for group in tied.groups]
    odd = space(names=[*NAMES, "model.rotary.inv_freq"], layout="layer")
    assert odd.groups[-1].label == "rest"


def test_linear_is_a_line() -> None:
    genome = space(models=(A,), layout="linear", own_groups=())
    values = genome.decode([0.25, 0.75, 0.5]).coefficients["weight"][:LAYERS, 0]
    # Bounds -0.5 to 1.5: the ends are 0 and 1.
    assert values == pytest.approx(np.linspace(0.0, 1.0, LAYERS))
    assert genome.labels == ("weight[a] depth 0%", "weight[a] depth 100%", "weight[a] rest")


def test_control_points_are_passed_through() -> None:
    genome = space(models=(A,), layout="smooth", control_points=3, own_groups=(), bounds={"weight": [0.0, 1.0]})
    values = genome.decode([0.2, 0.9, 0.5, 0.1]).coefficients["weight"][:LAYERS, 0]
    assert values == pytest.approx(np.interp(np.linspace(0, 1, LAYERS), [0, 0.5, 1], [0.2, 0.9, 0.5]))


def test_the_cosine_basis_is_a_cosine_series() -> None:
    """As many terms as controls, constant for equal controls, and never beyond the largest control."""
    genome = space(
        models=(A,), layout="smooth", basis="cosine", control_points=3, own_groups=("norm", "embedding", "head"),
        bounds={"weight": [0.0, 1.0]},
    )  # fmt: skip
    layers = [i for i, group in enumerate(genome.groups) if group.layers]
    curve = [i for i, label in enumerate(genome.labels) if "depth" in label]
    x = np.full(genome.n_var, 0.3)
    assert genome.decode(x).coefficients["weight"][layers, 0] == pytest.approx(0.3)
    x[curve] = [1.0, 0.0, 1.0]
    values = genome.decode(x).coefficients["weight"][layers, 0]
    assert 0.0 < values.min() < values.max() < 1.0
    angles = np.linspace(0.0, np.pi, LAYERS)
    series = np.cos(np.outer(angles, np.arange(3)))
    assert np.linalg.lstsq(series, values, rcond=None)[1] == pytest.approx(0.0, abs=1e-20)


def test_uniform_genomes_are_uniform_proportions() -> None:
    """A flat Dirichlet over three models: every share has mean 1/3 and variance 1/18."""
    genome = space((SHARE,), layout="model", own_groups=())
    random = np.random.default_rng(0)
    shares = np.array([genome.decode(random.random(2)).coefficients["weight"][0] for _ in range(4000)])
    assert shares.mean(axis=0) == pytest.approx([1 / 3] * 3, abs=0.015)
    assert shares.var(axis=0) == pytest.approx([1 / 18] * 3, abs=0.005)


@pytest.mark.parametrize(
    "bad", [[0.5], [0.5, 0.5, 1.0000001], [-1e-9, 0.5, 0.5], [np.nan, 0.5, 0.5], [np.inf, 0.0, 0.0]]
)
def test_nothing_is_clamped(bad: list[float]) -> None:
    genome = space(layout="model", own_groups=())
    with pytest.raises(ValueError, match="expected"):
        genome.decode(bad)


def test_frozen_and_fixed_groups_have_no_genes() -> None:
    genome = space(
        (WEIGHT, DENSITY), layout="layer", split_kinds=True,
        frozen=("head", "layer 0 *"), fixed={"embedding": {"weight": [0.1, 0.2, 0.3]}, "* mlp": {"density": 0.5}},
    )  # fmt: skip
    frozen = [group.label for group in genome.groups if group.frozen]
    assert frozen == ["head", "layer 0 attention", "layer 0 mlp"]
    assert not any(label.endswith(tuple(frozen)) for label in genome.labels)
    assert not any(label.startswith("density") and label.endswith("mlp") for label in genome.labels)
    recipe = genome.decode(np.full(genome.n_var, 0.9))
    rows = {group.label: row for row, group in enumerate(genome.groups)}
    assert recipe.coefficients["weight"][rows["embedding"]] == pytest.approx([0.1, 0.2, 0.3])
    assert recipe.coefficients["density"][rows["layer 3 mlp"]] == pytest.approx([0.5] * 3)
    assert recipe.coefficients["weight"][rows["head"]] == pytest.approx([1.0] * 3), "frozen rows are neutral"
    everywhere = genome.recipe({"weight": 0.3})
    assert everywhere.coefficients["weight"][rows["embedding"]] == pytest.approx([0.1, 0.2, 0.3])
    assert everywhere.coefficients["weight"][rows["layer 3 mlp"]] == pytest.approx([0.3] * 3)
    assert genome.encode(genome.recipe({"weight": 0.3, "density": 0.5})).shape == (genome.n_var,)


def test_a_kind_can_be_frozen_in_any_layout() -> None:
    genome = space(layout="model", frozen=("attention",))
    frozen = {group.label: group.frozen for group in genome.groups}
    assert frozen == {"attention": True, "norm": False, "embedding": False, "head": False, "model": False}


def test_a_curve_with_fixed_layers_keeps_its_depth() -> None:
    genome = space(
        models=(A,), layout="linear", own_groups=(), fixed={"layer 2": {"weight": 0.0}}, bounds={"weight": [0, 1]}
    )
    values = genome.decode([0.0, 1.0, 0.5]).coefficients["weight"][:LAYERS, 0]
    assert values == pytest.approx([0.0, 0.2, 0.0, 0.6, 0.8, 1.0])


def test_a_coefficient_is_searched_when_it_is_named() -> None:
    assert "lambda" not in " ".join(space((WEIGHT, LAMBDA)).labels)
    assert "lambda all" in space((WEIGHT, LAMBDA), shared=("lambda",)).labels
    genome = space((WEIGHT, LAMBDA), bounds={"lambda": [0.5, 0.6]}, layout="model", own_groups=())
    assert genome.decode(np.ones(4)).coefficients["lambda"][0] == 0.6


def test_starts_are_encoded_where_they_can_be() -> None:
    genome = space((SHARE,), layout="layer")
    names, X = genome.starts(
        {
            "uniform": {"weight": 1 / 3},
            "again": {"weight": (2.0, 2.0, 2.0)},
            "model:0": {"weight": (1.0, 0.0, 0.0)},
            "model:2": {"weight": (0.0, 0.0, 1.0)},
        }
    )
    assert names == ("uniform", "model:0", "model:2"), "only proportions matter, so the second is the first"
    assert genome.decode(X[1]).coefficients["weight"].tolist() == [[1.0, 0.0, 0.0]] * 9
    assert genome.decode(X[2]).coefficients["weight"].tolist() == [[0.0, 0.0, 1.0]] * 9
    bounded = space(bounds={"weight": [0.0, 1.0]}, layout="smooth", basis="cosine")
    points = {"task_arithmetic:0.3": {"weight": 0.3}, "too much": {"weight": 1.2}, "model:1": {"weight": (0, 1, 0)}}
    names, X = bounded.starts(points)
    assert names == ("task_arithmetic:0.3", "model:1")
    assert bounded.decode(X[0]).coefficients["weight"] == pytest.approx(0.3)
    assert space((T,), models=(A, B)).starts({})[1].shape == (0, 9)


def test_recipes_of_coarser_searches_are_encoded_by_place() -> None:
    random = np.random.default_rng(1)
    fine = space(layout="layer", split_kinds=True)
    for settings in (
        {"layout": "model"},
        {"layout": "blocks", "block_size": 2},
        {"layout": "linear"},
        {"layout": "layer"},
    ):
        coarse = space(**settings)
        recipe = coarse.decode(random.random(coarse.n_var))
        again = fine.decode(fine.encode(recipe))
        for name in NAMES:
            ours = again.coefficients["weight"][again.groups.index(name)]
            theirs = recipe.coefficients["weight"][recipe.groups.index(name)]
            assert ours == pytest.approx(theirs, abs=1e-12)
    with pytest.raises(NotExpressible, match="several values within"):
        space(layout="model").encode(fine.decode(random.random(fine.n_var)))


def test_models_may_come_in_another_order() -> None:
    ours, theirs = space(models=(A, B), layout="model"), space(models=(B, A), layout="model")
    x = np.linspace(0.1, 0.9, 8)
    assert ours.encode(theirs.decode(x)) == pytest.approx(x.reshape(4, 2)[:, ::-1].ravel())
    slerp = space((T,), models=(A, B))
    with pytest.raises(NotExpressible, match="another order"):
        slerp.encode(space((T,), models=(B, A)).decode(np.full(9, 0.3)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"method": "dare_ties"}, "uses dare_ties"),
        ({"options": {"normalize": True}}, "options"),
        ({"base": CheckpointRef("elsewhere")}, "base is elsewhere"),
        ({"sources": (A, B)}, "merges a, b"),
    ],
)
def test_recipes_of_other_merges_are_not_expressible(change: dict[str, Any], why: str) -> None:
    other = build(GenomeSettings(), (WEIGHT,), template(**change), NAMES)
    with pytest.raises(NotExpressible, match=why):
        space().encode(other.decode(np.full(other.n_var, 0.5)))


def test_recipes_outside_the_space_are_not_expressible() -> None:
    genome = space(bounds={"weight": [0.0, 1.0]})
    with pytest.raises(NotExpressible, match="outside the search range"):
        genome.encode(genome.recipe({"weight": 1.1}))
    line = space(layout="linear")
    bent = space(layout="layer").decode(np.random.default_rng(0).random(27))
    with pytest.raises(NotExpressible, match="do not lie on a curve"):
        line.encode(bent)
    with pytest.raises(NotExpressible, match="frozen in only one"):
        space(frozen=("head",)).encode(bent)
    with pytest.raises(NotExpressible, match="only one of recipe and search has the coefficients density"):
        space((WEIGHT, DENSITY)).encode(bent)
    fixed = space((WEIGHT, DENSITY), fixed={"*": {"density": 0.5}})
    with pytest.raises(NotExpressible, match="density of norm is not searched"):
        fixed.encode(space((WEIGHT, DENSITY)).recipe({"density": 0.6}))
    with pytest.raises(ValueError, match="no coefficient 'wieght'"):
        genome.recipe({"wieght": 1.0})


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        space(
            (WEIGHT, DENSITY), layout="layers", block_size=0, own_groups=("embeddings",),
            bounds={"densty": [0, 1], "density": [0.5, 1.5], "weight": [1.0, 0.0]}, shared=("lamda",),
        )  # fmt: skip
    text = str(caught.value)
    for part in (
        "genome.layout: expected one of model, blocks, layer, linear, smooth, came 'layers'; did you mean 'layer'?",
        "genome.block_size: expected a whole number of at least 1, came 0",
        "did you mean 'embedding'?",
        "did you mean 'density'?",
        "density between 0 and 1",
        "genome.bounds.weight is [1.0, 0.0]; expected [low, high]",
        "genome.shared names the coefficient 'lamda'",
    ):
        assert part in text
    assert len(caught.value.problems) == 7


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fixed": {"layer 9": {"weight": 0.0}}}, "matches no group; the groups are norm, embedding"),
        ({"frozen": ("atention",)}, "did you mean 'attention'?"),
        ({"fixed": {"head": {"weight": [0.1, 0.2]}}}, "expected one number, or 3: one per model"),
        ({"fixed": {"head": {"weight": "much"}}}, "genome.fixed.head"),
        ({"fixed": {"head": {"density": 1.5}}}, "density between 0 and 1"),
        ({"fixed": {"head": {"weight": 0}, "hea*": {"weight": 1}}}, "more than one value"),
        ({"layout": "smooth", "control_points": 7}, "needs 7 control values, but the tensor names show only 6 layers"),
        ({"frozen": ("*",)}, "nothing to search"),
    ],
)
def test_what_does_not_fit_the_model_is_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        space((WEIGHT, DENSITY), **settings)
    assert message in str(caught.value)


def test_proportions_have_no_bounds() -> None:
    with pytest.raises(InputError, match="does not normalise weight"):
        space((SHARE,), bounds={"weight": [-0.5, 1.0]})
    with pytest.raises(InputError, match="none negative"):
        space((SHARE,), fixed={"head": {"weight": [1.5, -0.5, 0.0]}})
    fixed = space((SHARE,), fixed={"head": {"weight": [2, 1, 1]}})
    row = [group.label for group in fixed.groups].index("head")
    assert fixed.decode(np.full(fixed.n_var, 0.5)).coefficients["weight"][row].tolist() == [0.5, 0.25, 0.25]


def test_layers_of_a_mixed_model_form_a_curve_of_their_own() -> None:
    """Attention in two of six layers only: its curve has as many genes as layers, not as control points."""
    names = [f"model.layers.{i}.mlp.up_proj.weight" for i in range(6)]
    names += [f"model.layers.{i}.self_attn.q_proj.weight" for i in (2, 5)]
    genome = space(names=names, models=(A,), layout="smooth", control_points=4, split_kinds=True)
    assert [label for label in genome.labels if "attention" in label] == [
        "weight[a] depth 0% attention",
        "weight[a] depth 100% attention",
    ]
    x = np.random.default_rng(0).random(genome.n_var)
    assert genome.encode(genome.decode(x)) == pytest.approx(x)


def test_the_recipe_carries_what_the_template_says() -> None:
    genome = build(GenomeSettings(), (WEIGHT,), template(seed=5, out_dtype="float16", options={"k": 1}), NAMES)
    recipe = genome.decode(np.zeros(genome.n_var))
    assert (recipe.seed, recipe.out_dtype, recipe.options, recipe.base) == (5, "float16", {"k": 1}, BASE)
    assert Recipe.from_json(recipe.to_json()).digest == recipe.digest
    assert isinstance(recipe.groups.groups[0], Group)
