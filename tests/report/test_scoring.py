"""The report says how candidates were scored where not all were asked everything, and when a proxy was refused."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge import executors
from evomerge.errors import InputError
from evomerge.evaluation import Job, Outcome
from evomerge.report.facts import Facts
from evomerge.report.findings.procedure import procedure
from evomerge.report.findings.scoring import scoring
from evomerge.report.markdown import report_markdown
from evomerge.report.results import Results
from evomerge.search import PromoteSettings, SearchPlan, run
from evomerge.store import PROXIES, RunStore
from tests.search.allocation.watching import allocated
from tests.search.analytic import SOUTH, Analytic
from tests.search.test_kill import tmp_path

__all__ = ["tmp_path"]


def with_chance(job: Job) -> Outcome:
    """Answers that hold a smooth metric which has nothing to do with the loss."""
    outcome = Analytic(noise=0.01)(job)
    chance = np.random.default_rng(int(job.recipe.digest[:8], 16)).random()
    return replace(
        outcome, responses=tuple(replace(one, metrics={**one.metrics, "smooth": chance}) for one in outcome.responses)
    )


def results(folder: Path, plan: SearchPlan) -> Results:
    manifest: dict[str, Any] = {"objectives": [SOUTH.to_json()], "allocation": asdict(plan.allocation.settled(()))}
    with RunStore.open(folder, manifest, {}) as store:
        run(plan, executors.make("local", lambda: with_chance), store)
    return Results(RunStore.read(folder))


def plain(sentences: list[str]) -> list[str]:
    return [
        sentence.replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", "") for sentence in sentences
    ]


def test_a_proxy_that_does_not_rank_is_refused_with_its_reason(tmp_path: Path) -> None:
    found = results(tmp_path, allocated("ga", 48, policy="rotating", items=8, proxy="smooth"))
    chosen, cost, refused = plain(scoring(found))
    assert chosen == (
        "Candidates were not all asked every search item: policy rotating with 8 items of a task for a batch, "
        "estimator mean, proxy smooth."
    )
    each = float(cost.removeprefix("A candidate was asked ").partition(" of 48 search items on average, ")[0])
    total = int(cost.partition("on average, ")[2].partition(" items in all")[0])
    assert each == pytest.approx(total / 48, abs=0.05)
    assert 16 < each < 48, "a window of both tasks, and survivors more"
    start, _, rest = refused.partition("tau of the two is ")
    assert start == "smooth did not rank as south.loss: Kendall's "
    tau, _, why = rest.partition(" over ")
    assert abs(float(tau)) < 0.75
    assert why.endswith("candidates, below 0.75.")


def test_few_candidates_leave_a_proxy_unmeasured(tmp_path: Path) -> None:
    found = results(tmp_path, allocated("ga", 8, items=8, race="halving", rungs=1, proxy="smooth"))
    chosen, _, unmeasured = plain(scoring(found))
    assert chosen.endswith(
        "policy fixed with 8 items of a task for a batch, race halving, estimator mean, proxy smooth."
    )
    assert unmeasured.startswith("smooth did not rank as south.loss: ")
    assert unmeasured.endswith("had answered enough to compare the two, which is too few.")


def test_a_race_that_nobody_left_early_is_said_to_have_asked_all(tmp_path: Path) -> None:
    """A test that is nearly never wrong drops nobody."""
    options = {"race_options": {"level": 1e-6}}
    found = results(tmp_path, allocated("ga", 16, race="sequential", rungs=2, **options))
    chosen, cost, *_ = plain(scoring(found))
    assert chosen == "All candidates have come to be asked every search item: race sequential, estimator mean."
    assert cost.startswith("A candidate was asked 48.0 of 48 search items on average")


def test_shared_out_selection_items_are_told_of(tmp_path: Path) -> None:
    """Six candidates were asked half of the 40 items on average, up to rounding to items of each task."""
    plan = allocated("ga", 24)
    selection = {task: tuple(f"v{task[0]}{i}" for i in range(20)) for task in plan.items["selection"]}
    plan = replace(
        plan, items={**plan.items, "selection": selection}, promotion=PromoteSettings(6, "ocba"), finalists=2
    )
    found = results(tmp_path, plan)
    shared, cost = plain(scoring(found))
    assert shared == "Selection items were shared out by OCBA, most to who might be the best."
    each = float(cost.removeprefix("A candidate was asked ").partition(" of 40 selection items on average, ")[0])
    assert each == pytest.approx(20, abs=2)
    asked = [e for e in found.store.evaluations("selection") if e.name is None]
    assert len(asked) > len({e.digest for e in asked}), "some in several rungs"
    for evaluation in asked:
        card = found.scorecard(evaluation)
        assert card is not None
        assert 2 * len(card.strata["south.loss"][0].items) == evaluation.items
    expected = procedure(found)
    assert expected.scores == {}, "five of a task in the first rung"
    assert plain([expected.note]) == [
        "No interval for what such a search gives on fresh items: of a task, the candidates that were compared were "
        "all asked 5 selection items (what belongs together counts once), and to choose by halves of them takes 10. "
        "promote.allocation=equal asks all of them everything, and items_per_task and fitness.splits say how many "
        "there are."
    ]


@pytest.mark.parametrize("allocation", ["equal", "ocba"])
def test_what_the_choice_gives_rests_on_the_items_that_all_were_asked(tmp_path: Path, allocation: str) -> None:
    """Of 120 selection items OCBA asks all candidates 24 before it looks at any answer."""
    plan = allocated("ga", 24)
    selection = {task: tuple(f"v{task[0]}{i}" for i in range(60)) for task in plan.items["selection"]}
    promotion = PromoteSettings(6, allocation)
    plan = replace(plan, items={**plan.items, "selection": selection}, promotion=promotion, finalists=2)
    found = results(tmp_path, plan)
    expected, facts = procedure(found), Facts(found.store)
    asked = {"equal": 60, "ocba": 12}[allocation]
    assert (expected.compared, expected.items) == (6, asked), "of the objective's task"
    assert expected.shared_out == (allocation == "ocba")
    interval, optimism = expected.scores["south.loss"].interval, expected.scores["south.loss"].optimism
    assert interval.low < interval.mean < interval.high
    # The same by hand, from the answers to the items that all have.
    answers: dict[str, dict[str, float]] = {}
    for evaluation in found.store.evaluations("selection"):
        if evaluation.name is None:
            for one in found.store.responses(evaluation):
                if one.task == "south":
                    answers.setdefault(evaluation.digest, {})[one.item] = one.metrics["loss"]
    everyone = sorted(set.intersection(*(set(own) for own in answers.values())))
    assert len(everyone) >= asked
    if allocation == "equal":
        best = min(np.mean([own[item] for item in everyone]) for own in answers.values())
        assert interval.mean == pytest.approx(best + optimism)
    page = report_markdown(facts)
    assert ("this rests on the 12 that all were asked in the first rung" in page) == (allocation == "ocba")
    assert ("the best score on these items flatters by" in page) == (allocation == "ocba")
    assert ("the best selection score flatters by" in page) == (allocation == "equal")


def test_intervals_of_estimates_are_as_wide_as_those_of_all_items(tmp_path: Path) -> None:
    """Who was asked everything has the interval of all items; who was asked a third has both errors."""
    found = results(tmp_path, allocated("ga", 16, race="halving", rungs=2))
    sizes = {}
    for candidate in (e for e in found.candidates if e.error is None):
        shown, card = found.intervals(candidate)["south.loss"], found.scorecard(candidate)
        assert card is not None
        asked, own = card.interval("south.loss"), found.estimates[candidate.digest]["south.loss"]
        sizes[candidate.items] = shown
        if candidate.items == 48:
            assert shown == asked
        else:
            assert shown.mean == own[0]
            assert shown.se**2 == pytest.approx(own[1] ** 2 + asked.se**2 / 3)
    assert set(sizes) == {16, 48}


def test_where_all_are_asked_everything_nothing_is_said(tmp_path: Path) -> None:
    assert scoring(results(tmp_path, allocated("ga", 8))) == []


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    found = results(tmp_path, allocated("ga", 8, items=8, proxy="smooth"))
    (tmp_path / PROXIES).write_text('{"south.loss": {"proxy": "smooth"}}')
    with pytest.raises(InputError, match=r"proxies\.json does not hold the use of proxies by metric"):
        scoring(found)
