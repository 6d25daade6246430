"""The seconds that ``check`` tells: counted from a pace by hand, and measured by every executor, without a trace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evomerge.cli.main import main
from evomerge.config import compose
from evomerge.evaluation import count_items
from evomerge.run.assemble import assemble
from evomerge.run.forecast.duration import Pace, duration
from evomerge.run.search import search_plan
from evomerge.store import RunStore, candidates
from tests.building import perturbed
from tests.run.family import Family

# Two candidates at a time in 3 s, of which a quarter is merging, on 24 items each.
PACE = Pace(start=5.0, wave=3.0, capacity=2, items=24, merge=0.5, score=1.5)


def test_a_pace_scales_with_waves_and_items() -> None:
    assert PACE.seconds(2, 24) == 3.0
    assert PACE.seconds(3, 24) == 6.0  # one worker idles in the second wave
    assert PACE.seconds(2, 48) == pytest.approx(3.0 * (0.25 + 2 * 0.75))


def test_phases_are_counted_by_hand(family: Family, tmp_path: Path) -> None:
    """Four baselines, twelve candidates in batches of six, all of them twelve items of two tasks."""
    assembly = assemble(compose.search(family.words(tmp_path / "run")))
    plan = search_plan(assembly)
    assert (len(plan.baselines), count_items(plan.items["search"])) == (4, 24)
    found = duration(assembly, PACE)
    assert found.candidates == 12
    assert found.search == 2 * 3.0 + 2 * (3 * 3.0)
    assert found.promotion == PACE.seconds(4 + plan.shortlisted, count_items(plan.items["selection"]))
    assert found.confirmation == PACE.seconds(4 + plan.finalists, count_items(plan.items["test"]))
    assert found.whole == 5.0 + found.search + found.promotion + found.confirmation
    # One more candidate is one more batch, in which a worker idles.
    more = replace(assembly, config=replace(assembly.config, budgets=replace(assembly.config.budgets, evaluations=13)))
    assert duration(more, PACE).search == found.search + 3.0


def test_windows_are_asked_of_survivors_too(family: Family, tmp_path: Path) -> None:
    """Half of the items in each of two batches, the second of which asks the survivors of the first as well."""
    words = family.words(tmp_path / "run", allocation__policy="rotating", allocation__items=6)
    pace = replace(PACE, items=12)
    found = duration(assemble(compose.search(words)), pace)
    assert found.search == pytest.approx(pace.seconds(4, 24) + (1 + 2) * 3 * 3.0)


@pytest.fixture
def among(family: Family, tmp_path: Path) -> dict[str, Any]:
    """Words of a search among three models."""
    third = perturbed(family.folder / "base", tmp_path / "three", 3)
    models = f"[{family.folder / 'one'},{family.folder / 'two'},{third}]"
    return {"models": models, "objectives": "[first.acc]", "searcher__population": None, "evaluations": 100}


def test_a_soup_is_a_batch_for_each_further_model(family: Family, tmp_path: Path, among: dict[str, Any]) -> None:
    """Two batches of three shares, in each of which a worker idles; windows are asked of the soup so far too."""
    words = [*family.words(tmp_path / "run", **among, searcher="greedy_soup"), "searcher.options={grid: 3}"]
    assembly = assemble(compose.search(words))
    found = duration(assembly, PACE)
    models = len({recipe.digest for recipe in search_plan(assembly).baselines.values()})
    assert found.candidates == 6
    assert found.search == PACE.seconds(models, 24) + 2 * PACE.seconds(3, 24)
    fewer = replace(assembly, config=replace(assembly.config, budgets=replace(assembly.config.budgets, evaluations=4)))
    assert duration(fewer, PACE).search == PACE.seconds(models, 24) + PACE.seconds(3, 24) + PACE.seconds(1, 24)
    pace = replace(PACE, items=12)
    windows = assemble(compose.search([*words, "allocation.policy=informative", "allocation.items=6"]))
    assert duration(windows, pace).search == pytest.approx(
        pace.seconds(models, 24) + 2 * pace.seconds(3, 12) + pace.seconds(1, 12)
    )


def test_a_soup_takes_no_more_than_was_counted(family: Family, tmp_path: Path, among: dict[str, Any]) -> None:
    words = family.words(tmp_path / "run", **among, searcher="greedy_soup", method="linear")
    counted = duration(assemble(compose.search(words)), PACE).candidates
    assert main(["search", *words]) == 0
    merged = [one for one in candidates(RunStore.read(tmp_path / "run")) if one.recipe["sources"][1:]]
    assert counted == 2
    assert len(merged) <= counted
    assert max(one.order[0] for one in merged) <= 1 + counted, "the models, then a batch for each candidate"


def test_generations_of_kin_are_a_few_pairs_each(family: Family, tmp_path: Path, among: dict[str, Any]) -> None:
    """Three pairs, which leave no stranger; then two with the new child, and one with a stranger."""
    changes = {**among, "evaluations": 8}
    words = family.words(tmp_path / "run", **changes, searcher="kinship", method="slerp")
    assembly = assemble(compose.search(words))
    models = len({recipe.digest for recipe in search_plan(assembly).baselines.values()})
    pairs = PACE.seconds(3, 24) + PACE.seconds(3, 24) + PACE.seconds(2, 24)
    assert duration(assembly, PACE).search == PACE.seconds(models, 24) + pairs


def test_shared_out_selection_items_cost_a_share(family: Family, tmp_path: Path) -> None:
    """Baselines are asked all of them."""
    assembly = assemble(compose.search(family.words(tmp_path / "run", promote__allocation="ocba", promote__share=0.25)))
    plan = search_plan(assembly)
    items = count_items(plan.items["selection"])
    shared = PACE.seconds(plan.shortlisted, round(0.25 * items))
    assert duration(assembly, PACE).promotion == PACE.seconds(4, items) + shared


def test_budgets_that_count_no_candidates(family: Family, tmp_path: Path) -> None:
    words = family.words(tmp_path / "run", evaluations="null", budgets__patience=3)
    assert duration(assemble(compose.search(words)), PACE).whole is None
    found = duration(assemble(compose.search([*words, "budgets.seconds=60"])), PACE)
    assert (found.candidates, found.search) == (None, 60.0)
    found = duration(assemble(compose.search([*words, "budgets.items=100"])), PACE)
    assert found.candidates == 4


@pytest.mark.parametrize("executor", ["local", "recorded"])
def test_check_measures_without_a_trace(
    executor: str, family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check", *family.words(tmp_path / "run", executor=executor)]) == 0
    said = capsys.readouterr().out
    assert "seconds: about" in said
    assert "per candidate of 24 items" in said
    assert "not included" in said
    assert ("merging" in said.partition(" s per candidate of 24 items")[2].splitlines()[0]) == (executor == "local")
    assert list(tmp_path.iterdir()) == []


def test_candidates_that_fail_are_no_measurement(
    family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights beyond what float16 holds: every candidate is infinite."""
    bounds = "{weight: [1.0e+6, 2.0e+6]}"
    words = family.words(tmp_path / "run", genome__bounds=bounds, model__out_dtype="float16")
    assert main(["check", *words]) == 0
    assert "seconds: not measured, as a candidate failed: nonfinite" in capsys.readouterr().out


@pytest.mark.slow
def test_processes_are_measured_together(family: Family, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *family.words(tmp_path / "run", executor="processes", executor__workers=2)]) == 0
    said = capsys.readouterr().out
    assert "2 at a time" in said
    assert "measured just now on 2 candidates" in said
