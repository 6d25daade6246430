"""Searches that choose among models, with real models: their recipes are merged, exported, reported on and replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import evomerge
from evomerge.cli.main import main
from evomerge.config import compose
from evomerge.errors import InputError
from evomerge.genome import NotExpressible
from evomerge.merging import Checkpoints, Merger
from evomerge.recipe import Recipe
from evomerge.run.assemble import assemble
from evomerge.search import ExpertPool
from evomerge.search.searchers.m2n2 import crossed
from evomerge.store import RunStore, candidates
from tests.building import perturbed
from tests.run.family import Family


@pytest.fixture
def words(family: Family, tmp_path: Path) -> list[str]:
    """A search over three experts with one objective."""
    third = perturbed(family.folder / "base", tmp_path / "three", 3)
    models = f"[{family.folder / 'one'},{family.folder / 'two'},{third}]"
    changes = {"objectives": "['0.5*first.gold_prob + 0.5*second.gold_prob']", "searcher.population": None}
    return family.words("left out", models=models, run_dir=None, evaluations=8, items_per_task=4, **changes)


def pool_of(words: list[str], *more: str) -> ExpertPool:
    pool = assemble(compose.search([*words, "searcher=greedy_soup", *more])).pool
    assert pool is not None
    return pool


@pytest.mark.parametrize(("name", "method"), [("greedy_soup", "linear"), ("kinship", "slerp"), ("m2n2", "linear")])
def test_a_search_among_models_runs_replays_and_exports(
    name: str, method: str, words: list[str], tmp_path: Path
) -> None:
    own = [*words, f"searcher={name}", f"method={method}", f"run_dir={tmp_path / 'run'}"]
    own += ["searcher.options={grid: 3, form: chain}"] if name == "greedy_soup" else []
    assert main(["search", *own]) == 0
    store = RunStore.read(tmp_path / "run")
    found = [Recipe.from_json(one.recipe) for one in candidates(store)]
    assert found
    assert all(one.error is None for one in candidates(store))
    assert {recipe.method for recipe in found} == {method}
    before = (tmp_path / "run" / "evaluations.jsonl").read_bytes()
    assert main(["search", *own]) == 0
    assert (tmp_path / "run" / "evaluations.jsonl").read_bytes() == before
    run = evomerge.Run(tmp_path / "run")
    member = next((one.id for one in run.front), None)
    assert member is not None
    run.export(member, tmp_path / "merged")
    assert (tmp_path / "merged" / "model.safetensors").exists()


def test_shares_are_the_methods_own_points(words: list[str]) -> None:
    """A method that normalises gets proportions, task arithmetic parts of deltas, SLERP a place between two."""
    expected = {"linear": (0.8, 0.2), "task_arithmetic": (0.8, 0.2), "ties": (0.8, 0.2), "pcb": (1.6, 0.4)}
    for method, weight in expected.items():
        pool = pool_of(words, f"method={method}")
        recipe = pool.merge(pool.experts[:2], (0.8, 0.2))
        assert np.allclose(recipe.coefficients["weight"], weight), method
        assert recipe.sources == pool.experts[:2]
    pool = pool_of(words, "method=slerp")
    assert (len(pool.experts), pool.most) == (3, 2)
    assert np.allclose(pool.merge(pool.experts[1:], (0.8, 0.2)).coefficients["t"], 0.2)


def test_a_child_of_m2n2_is_slerp_of_the_models_with_a_split_point(words: list[str], tmp_path: Path) -> None:
    """A merged grandchild beside the formula of the paper's code on whole vectors, frozen parts left out."""
    words = [*words, "method=linear", "genome.frozen=[norm]", "model.out_dtype=float32"]
    pool = pool_of(words)
    assert pool.span is not None
    span = pool.span()
    units = [np.tile(unit, (len(span.sizes), 1)) for unit in np.eye(3)]
    child = crossed(units[0], units[1], span, 0.55, 0.3)
    recipe = span.make(crossed(child, units[2], span, 0.3, 0.8))
    labels = [group.label for group in recipe.groups.groups if not group.frozen]
    assert labels == ["layer 0 attention", "layer 0 mlp", "layer 1 attention", "layer 1 mlp", "embedding", "head"]
    merged = Merger(Checkpoints.open(recipe))
    found = dict(merged.stream(recipe))
    weights = [load_file(Path(ref.source) / "model.safetensors") for ref in pool.experts]
    names = sorted((name for name in found if "norm" not in name), key=lambda name: (_depth(name), name))
    for name in found.keys() - set(names):
        assert torch.equal(found[name], load_file(Path(recipe.reference.source) / "model.safetensors")[name]), "frozen"
    vectors = [np.concatenate([one[name].double().numpy().ravel() for name in names]) for one in weights]
    ends = np.concatenate([[0.0], np.cumsum(span.sizes)])
    assert ends[-1] == len(vectors[0])
    cut = [int(ends[np.abs(ends - split * ends[-1]).argmin()]) for split in (0.55, 0.3)]
    expected = slerp(slerp(vectors[0], vectors[1], 0.3, cut[0]), vectors[2], 0.8, cut[1])
    ours = np.concatenate([found[name].double().numpy().ravel() for name in names])
    assert np.allclose(ours, expected, atol=1e-6)
    assert not np.allclose(ours, np.mean(vectors, axis=0), atol=1e-3)


def _depth(name: str) -> tuple[int, int]:
    """Before the layers, layer after layer, attention before MLP, then the head."""
    if ".layers." not in name:
        return (0, 0) if "embed" in name else (9, 0)
    return int(name.split(".layers.")[1].split(".")[0]) + 1, int("mlp" in name)


def slerp(x: np.ndarray, y: np.ndarray, val: float, split: int) -> np.ndarray:
    """slerp_w_splitpoint of github.com/SakanaAI/natural_niches."""
    share = np.where(np.arange(len(x)) < split, val, 1 - val)
    omega = np.arccos(np.clip(x / np.linalg.norm(x) @ (y / np.linalg.norm(y)), -1, 1))
    return np.sin((1 - share) * omega) / np.sin(omega) * x + np.sin(share * omega) / np.sin(omega) * y


def test_kinship_and_clusters_are_measured_on_the_weights(words: list[str]) -> None:
    pool = pool_of(words)
    assert pool.sums is not None
    assert pool.cosines is not None
    assert pool.sums() is pool.sums()
    kinship = pool.sums().kinship()
    assert np.allclose(np.diag(kinship.correlation), 1.0)
    assert (abs(kinship.correlation - np.eye(3)) < 0.2).all(), "independent noise is no kin"
    assert np.allclose(np.diag(pool.cosines()), 1.0)
    assert (pool.cosines() > 0.3).all(), "perturbed copies of one base"


def test_check_says_what_is_chosen_among(
    words: list[str], capsys: pytest.CaptureFixture[str], problems_of: Callable[[Sequence[str]], str]
) -> None:
    assert main(["check", "--headers", *words, "searcher=kinship", "method=slerp"]) == 0
    printed = capsys.readouterr().out
    assert "chosen among: one, two, three" in printed
    assert "population: the models, then what follows from them" in printed
    assert "genes:" not in printed
    assert main(["check", "--headers", *words, "searcher=greedy_soup", "method=task_arithmetic"]) == 0
    assert ", 2 candidates x 8 = 16 in all" in capsys.readouterr().out, "eight are allowed, and two soups are left"


def test_what_does_not_go_with_a_choice_among_models_is_refused(
    family: Family, words: list[str], problems_of: Callable[[Sequence[str]], str]
) -> None:
    refused = problems_of(["check", "--headers", *words, "searcher=greedy_soup", "method=arcee_fusion"])
    assert "method arcee_fusion merges exactly 1 model, came 3" in refused
    tokens = problems_of(["check", "--headers", *words, "searcher=greedy_soup", "tokenizer=union"])
    assert "searcher greedy_soup: models alone keep the reference's tokens" in tokens
    assert "has none" not in tokens
    base = problems_of(["check", "--headers", *words, "searcher=kinship", "embeddings=base"])
    assert "searcher kinship: it takes a model alone as it is" in base
    assert "leave embeddings out" in base
    single = problems_of(["check", "--headers", *words, "searcher=kinship", f"models=[{family.folder / 'one'}]"])
    assert "there is 1; name two or more" in single
    steps = problems_of(["check", "--headers", *words, "searcher=kinship", "post=[scale]"])
    assert "post: searcher kinship proposes models alone, which no step would follow" in steps
    weights = problems_of(["check", "--headers", *words, "searcher=m2n2", "method=ties"])
    assert "searcher m2n2 interpolates the weights of whole models" in weights
    linear = ["check", "--headers", *words, "searcher=m2n2", "method=linear"]
    fixed = problems_of([*linear, "genome.fixed={norm: {weight: [1, 0, 0]}}"])
    assert "genome.fixed: searcher m2n2 takes weights from those of two parents" in fixed
    frozen = problems_of([*linear, "genome.depth=layer", "genome.frozen=['layer 0*']"])
    assert "genome.frozen: names groups of another layout" in frozen
    start = problems_of(["check", "--headers", *words, "searcher=greedy_soup", "start_temperature=5"])
    assert "start_temperature: searcher greedy_soup starts from each model alone" in start
    several = problems_of(["check", "--headers", *words, "searcher=kinship", "objectives=[first.acc,second.acc]"])
    assert "searcher kinship is for one objective and there are 2" in several


@pytest.mark.parametrize("own", [("method=emr", "method_options={task: 0}"), ("post=[{step: svc, target: 0}]",)])
def test_the_order_of_models_counts_where_an_option_is_the_number_of_one(
    own: tuple[str, ...], words: list[str]
) -> None:
    """Members of another search are no members of this one, and a searcher that chooses among models has no numbers."""
    models = next(word for word in words if word.startswith("models=")).removeprefix("models=[").rstrip("]").split(",")
    first, second = (
        assemble(compose.search([*words, "searcher=cmaes", f"models=[{','.join(order)}]", *own])).spec
        for order in (models, models[::-1])
    )
    with pytest.raises(NotExpressible, match="in another order"):
        first.encode(second.decode(np.full(second.n_var, 0.5)))
    with pytest.raises(InputError, match=r"is the number of a model|proposes models alone"):
        pool_of(words, *own)
