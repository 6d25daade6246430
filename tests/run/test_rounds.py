"""Searches in rounds on real models: killed and gone on with, exported bit for bit, refused where they do not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import evomerge
from evomerge import methods
from evomerge.checkpoints import open_source
from evomerge.cli.main import main
from evomerge.merging import Checkpoints, Merger
from evomerge.recipe import CheckpointRef, Recipe
from evomerge.run.recipes.rounds import fewest_elites
from evomerge.run.run_config import RunConfig
from evomerge.search import RoundSettings
from evomerge.store import RunStore
from tests.apart import Forked
from tests.run.family import Family, answers, records
from tests.run.test_resume import kill_when, lines

ROUNDS = {"rounds": 3, "evaluations": 18, "searcher__population": 5, "confirm__finalists": 1, "round__elites": 2}
SHARE = 6


@pytest.fixture(scope="module")
def bred(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three rounds; to be read only."""
    run = tmp_path_factory.mktemp("bred") / "run"
    assert family.search(run, **ROUNDS) == 0
    return run


def candidates(run: Path) -> list[Recipe]:
    """What was proposed, in the order of the asks."""
    found = [e for e in RunStore.read(run).evaluations("search") if e.batch and e.name is None]
    return [Recipe.from_json(one.recipe) for one in found]


def depth(recipe: Recipe) -> int:
    return 1 + max((depth(own) for own in recipe.sources if isinstance(own, Recipe)), default=0)


def test_a_run_killed_in_its_second_round_ends_as_one_that_was_not(
    family: Family, bred: Path, tmp_path: Path, program: Callable[..., Forked]
) -> None:
    killed = tmp_path / "killed"
    words = family.words(killed, **ROUNDS)
    kill_when(program, words, lambda: lines(killed) >= 4 + SHARE + 4)
    assert lines(killed) < lines(bred)
    assert family.search(killed, **ROUNDS) == 0
    assert records(killed) == records(bred)
    assert answers(killed) == answers(bred)


@pytest.mark.slow
def test_a_run_that_is_extended_has_the_same_records_with_two_workers(
    family: Family, bred: Path, tmp_path: Path
) -> None:
    """A budget that ends in the second round; the next session has the elites' models made by one of two processes."""
    run, less = tmp_path / "run", {"evaluations": 9, "round__evaluations": SHARE, "confirm__finalists": 0}
    assert family.search(run, **{**ROUNDS, **less}) == 0
    assert family.search(run, **ROUNDS, executor="processes", executor__workers=2) == 0
    assert records(run) == records(bred)
    assert answers(run) == answers(bred)


def test_later_rounds_merge_elites_of_earlier_ones(bred: Path) -> None:
    found = candidates(bred)
    assert [depth(recipe) for recipe in found[:SHARE]] == [1] * SHARE
    assert {depth(recipe) for recipe in found[SHARE : 2 * SHARE]} == {2}
    for first in (SHARE, 2 * SHARE):
        assert {own.digest for own in found[first].sources} <= {recipe.digest for recipe in found[:first]}
    manifest = json.loads((bred / "manifest.json").read_text())
    expected = {"count": 3, "elites": 2, "experts": False, "evaluations": SHARE}
    assert manifest["identity"]["rounds"] == expected
    said = "3, of 6 candidates each but the last; later ones merge at most 2 elites"
    assert said in (bred / "report.html").read_text(encoding="utf-8")
    assert "prepared" not in {path.name for path in bred.iterdir()}, "kept models go when the search is over"


def test_an_export_of_the_last_round_is_the_candidate(bred: Path, tmp_path: Path) -> None:
    """Bit by bit what the recipe gives, which is what its elites give when they are written out first."""
    member = next(one for one in evomerge.Run(bred).front if depth(Recipe.from_json(dict(one.recipe))) > 1)
    run = Path(shutil.copytree(bred, tmp_path / "run"))
    assert main(["export", f"run={run}", f"member={member.id}", f"out={tmp_path / 'out'}"]) == 0
    recipe = Recipe.from_json(dict(member.recipe))
    written, merger = open_source(tmp_path / "out"), Merger(Checkpoints.open(recipe))
    for name, tensor in merger.stream(recipe):
        assert torch.equal(written.tensor(name), tensor), name
    card = (tmp_path / "out" / "README.md").read_text()
    assert all(source.label in card for source in recipe.sources)


NOISE = {"round__last": "noise", "round__noise": "{directions: 3, rank: 2, size: 0.4}", "rounds": 2}


def test_noise_around_the_best_is_searched_and_exported_without_what_the_run_kept(
    family: Family, tmp_path: Path
) -> None:
    """Replayed from a part of its records it is the same; the first candidate of the round is the best itself."""
    run, changes = tmp_path / "run", {**ROUNDS, **NOISE, "evaluations": 12, "objectives": "[first.gold_prob]"}
    changes |= {"searcher": "cmaes", "searcher__population": 5}
    assert family.search(run, **changes) == 0
    whole, found = (run / "evaluations.jsonl").read_bytes(), candidates(run)
    noisy = found[SHARE:]
    assert {(own.method, own.post[0].name, own.sources) for own in noisy} == {("linear", "noise", noisy[0].sources)}
    assert noisy[0].sources[0] in found[:SHARE]
    assert set(noisy[0].post[0].coefficients) == {"c1", "c2", "c3"}
    log = run / "records" / "main.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[: 4 + SHARE + 3]))
    assert family.search(run, **changes) == 0
    assert (run / "evaluations.jsonl").read_bytes() == whole
    own = {own.digest: own for own in noisy}
    member = next((one for one in evomerge.Run(run).front if one.digest in own), None)
    recipe = own[member.digest] if member else noisy[-1]
    recipe.save(tmp_path / "recipe.json")
    assert main(["merge", f"recipe={tmp_path / 'recipe.json'}", f"out={tmp_path / 'out'}"]) == 0
    written, merger = open_source(tmp_path / "out"), Merger(Checkpoints.open(recipe))
    best, changed = merger.as_source(recipe.sources[0]), 0
    for name, tensor in merger.stream(recipe):
        assert torch.equal(written.tensor(name), tensor), name
        assert torch.equal(best.tensor(name), tensor) or tensor.dim() == 2, "vectors stay as they were"
        changed += not torch.equal(best.tensor(name), tensor)
    assert changed > 0
    first = Merger(Checkpoints.open(noisy[0]))
    assert not any(values.any() for values in noisy[0].post[0].coefficients.values())
    assert all(torch.equal(first.as_source(noisy[0].sources[0]).tensor(n), t) for n, t in first.stream(noisy[0]))


@pytest.mark.parametrize(
    ("method", "elites", "experts", "expected"),
    [("linear", 4, 0, 2), ("model_stock", 4, 1, 1), ("slerp", 2, 0, 2), ("ties", 1, 0, 1), ("linear", 4, 3, 1)],
)
def test_a_round_needs_two_models_or_what_its_method_needs(
    method: str, elites: int, experts: int, expected: int
) -> None:
    models = tuple(CheckpointRef(str(place)) for place in range(experts or 3))
    config = RunConfig(models=models, round=RoundSettings(2, elites=elites, experts=experts > 0))
    assert fewest_elites(config, methods.load(method)) == expected


def test_check_says_what_the_rounds_are(family: Family, capsys: pytest.CaptureFixture[str]) -> None:
    words = family.words("nowhere", **{**ROUNDS, "round__experts": True})
    assert main(["check", "--headers", *words]) == 0
    printed = capsys.readouterr().out
    assert "rounds: 3, of 6 candidates each but the last" in printed
    assert "round 2 merges at most 2 elites and the 2 experts: 4 genes" in printed
    assert "4 genes for 6 candidates of a round are hard to search" in printed
    assert "without run_dir" not in printed
    for share in (None, 5):
        assert main(["check", "--headers", *family.words(None, **{**ROUNDS, "round__evaluations": share})]) == 0
        printed = capsys.readouterr().out
        assert ("without run_dir another number of evaluations is another run" in printed) == (share is None)


def test_what_does_not_go_with_rounds_is_refused_at_once(
    family: Family, problems_of: Callable[[list[str]], str]
) -> None:
    def refused(**changes: object) -> str:
        return problems_of(["check", "--headers", *family.words("nowhere", **{**ROUNDS, **changes})])

    assert "rounds: mode: a round ends with a batch" in refused(mode="asynchronous", evaluations=30)
    told = refused(searcher="kinship", objectives="[first.acc]", searcher__population=None, tokenizer="union")
    assert "rounds: searcher: kinship merges what it has found itself" in told
    assert "rounds: tokenizer: elites would be merged token by token once more" in told
    assert "rounds: round.experts: method slerp merges at most 2" in refused(method="slerp", round__experts=True)
    assert "rounds: post[0].target is the number of a model" in refused(post="[{step: svc, target: 0}]")
    assert "rounds: method fisher reads statistics of the models" in refused(method="fisher")
    each = refused(genome__fixed="{'*': {weight: [0.5, 0.5]}}", post="[scale]", round__elites=3)
    assert "rounds: round 2: genome.fixed.*: weight is" in each
    assert "rounds: expected" in refused(rounds=9)
    told = refused(rounds=5, round__elites=5, evaluations=60)
    assert "rounds=5 with round.elites=5 puts up to 625 merges into one recipe" in told
    assert "or round.elites=4 or less" in told, "4 to the power of 4 are 256"
    told = refused(searcher="cycleqd", objectives="[first.acc,second.acc]", method="fisher")
    assert "rounds: searcher cycleqd adds pushes to its candidates" in told
    assert "searcher.options.mutation=genes" in told
    assert "rounds: method fisher reads" in told, "all at once"
    told = refused(**{**NOISE, "base": "null", "method": "linear", "round__noise": "{rank: 0, seed: 3}"})
    assert "rounds: round.last=noise: noise is as long as a part of the delta" in told
    assert "rounds: round.noise: post[0]: step noise: option rank is 0" in told
