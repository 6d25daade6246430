"""The recorded executor: what was recorded, what was not, and searches over it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evomerge import executors
from evomerge.contracts import workers
from evomerge.errors import InputError
from evomerge.evaluation import Ask, Failure, Job, Outcome, Response
from evomerge.executors import run
from evomerge.executors._shared import response_table
from evomerge.executors.recorded import Recorded, RecordedWorker, example_table
from evomerge.recipe import CheckpointRef, Group, ParameterGroups, Recipe
from evomerge.search import run as search
from evomerge.store import RunStore
from tests.search.analytic import ITEMS, Analytic, baselines, plan, space

ASKED = {"t": ("i0", "i1"), "python": ("",)}


def recipe(weight: float, model: str = "a") -> Recipe:
    groups = ParameterGroups((Group("model"),))
    return Recipe("linear", {}, (CheckpointRef(model),), None, groups, {"weight": np.array([[weight]])})


def candidate(weight: float, model: str = "a", **values: Any) -> Recorded:
    """Answers that follow from the weight."""
    answers = [
        Response("t", "i0", {"acc": float(weight > 0.5), "pair": [weight, 2.0], "same": float(weight > 0.5)}),
        Response("t", "i1", {"acc": weight, "pair": [0.0, weight], "same": weight}),
        Response("python", "", {"brevity": 3.0 * weight}),
    ]
    return Recorded.of(recipe(weight, model), answers, **values)


def ask(worker: RecordedWorker, of: Recipe, items: dict[str, tuple[str, ...]] = ASKED) -> Outcome:
    return worker(Job.of(of, items, Ask("search", 1, 0)))


def metric(outcome: Outcome, place: int, name: str) -> Any:
    assert outcome.error is None, outcome.error
    return outcome.responses[place].metrics[name]


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    failed = Recorded(recipe(0.9), error=Failure("nonfinite", "a weight is infinite"))
    partly = Recorded.of(recipe(0.4), [Response("t", "i1", {"acc": 1.0})])
    rows = [candidate(0.1), candidate(0.2), candidate(0.2, "b"), failed, partly]
    response_table.write(tmp_path / "table.jsonl", rows, "made up")
    again = response_table.read(tmp_path / "table.jsonl")
    assert [row.recipe for row in again] == [row.recipe for row in rows]
    assert [row.metrics for row in again] == [row.metrics for row in rows]
    assert [row.error for row in again] == [row.error for row in rows]
    head, first, *_ = (json.loads(line) for line in (tmp_path / "table.jsonl").read_text().splitlines())
    assert len(head["recipes"]) == 2, "recipes that differ in coefficients alone are written once"
    assert first["metrics"]["t"]["same"] == "acc", "a metric that repeats another is its name"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"line 1: is no line of a response table \(JSONDecodeError"),
        ("not json\n", r"line 1: is no line of a response table \(JSONDecodeError"),
        ("[]\n", r"line 1: is no line of a response table \(TypeError"),
        ('{"format": 9}\n', r"table\.jsonl, line 1: has table format 9; expected 1"),
        ('{"format": 1, "items": {}, "recipes": []}\n{"recipe": 0}\n', r"line 2: is no line .* \(KeyError"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "table.jsonl").write_text(text)
    with pytest.raises(InputError, match=problem):
        executors.make("recorded", workers.make_broken, table=str(tmp_path / "table.jsonl"))
    with pytest.raises(InputError, match=r"executor recorded: option table: there is no file .*nowhere\.jsonl"):
        executors.make("recorded", workers.make_broken, table=str(tmp_path / "nowhere.jsonl"))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ({"metrics": []}, r"line 3: is no line of a response table \(AttributeError"),
        ({"metrics": {"t": {"acc": [1.0]}}}, r"line 3: is no line of a response table \(ValueError"),
        ({"coefficients": {"weight": [[0.1], [0.2]]}}, r"line 3: coefficient 'weight' has shape \(2, 1\); expected"),
        ({"recipe": 7}, r"line 3: is no line of a response table \(KeyError"),
    ],
)
def test_the_line_that_is_wrong_is_named(tmp_path: Path, damage: dict[str, Any], problem: str) -> None:
    file = tmp_path / "table.jsonl"
    response_table.write(file, [candidate(0.1), candidate(0.2), candidate(0.3)], "made up")
    lines = file.read_text().splitlines()
    lines[2] = json.dumps({**json.loads(lines[2]), **damage})
    file.write_text("\n".join(lines))
    with pytest.raises(InputError, match=f"{file}, {problem}"):
        response_table.read(file)


def test_what_was_not_recorded_is_refused_by_name() -> None:
    worker = RecordedWorker([candidate(0.1), candidate(0.2), candidate(0.2, "b")])
    outcome = ask(worker, recipe(0.15))
    assert outcome.error is not None
    assert outcome.error.kind == "invalid"
    assert "3 candidates were recorded, 2 of them of its kind; unknown=nearest" in outcome.error.message
    outcome = ask(worker, recipe(0.1), {"t": ("i0", "i7"), "python": ("",)})
    assert outcome.error == Failure("invalid", "1 of 3 items were not recorded, the first: i7 of t")


def test_the_nearest_of_the_same_kind_answers() -> None:
    worker = RecordedWorker([candidate(0.1), candidate(0.6), candidate(0.3, "b")], "nearest")
    assert metric(ask(worker, recipe(0.3)), 1, "acc") == 0.1
    assert metric(ask(worker, recipe(0.4)), 1, "acc") == 0.6
    assert metric(ask(worker, recipe(0.4)), 2, "brevity") == pytest.approx(1.8)
    outcome = ask(worker, recipe(0.3, "c"))
    assert outcome.error is not None
    assert outcome.error.message.endswith("3 candidates were recorded")
    broken = RecordedWorker([candidate(0.1), Recorded(recipe(0.6), error=Failure("oom", "too large"))], "nearest")
    assert ask(broken, recipe(0.5)).error == Failure("oom", "too large")


def test_an_interpolated_answer_is_the_mean_weighted_by_inverse_squared_distance() -> None:
    """At 0.3 between 0.1 and 0.7 the weights are 1/0.04 and 1/0.16, so 0.8 and 0.2."""
    worker = RecordedWorker([candidate(0.1), candidate(0.7)], "interpolated")
    outcome = ask(worker, recipe(0.3))
    assert metric(outcome, 0, "acc") == pytest.approx(0.2)
    assert metric(outcome, 0, "pair") == pytest.approx([0.22, 2.0])
    assert metric(outcome, 1, "acc") == pytest.approx(0.22)
    assert metric(outcome, 2, "brevity") == pytest.approx(0.66)
    assert metric(ask(worker, recipe(0.7)), 1, "acc") == 0.7, "recorded candidates keep their answers"


def test_what_not_every_neighbour_has_is_left_out() -> None:
    """A metric that was recorded later than others, an item that some were not asked, a recipe with more to choose."""
    bare = Recorded.of(recipe(0.7), [Response("t", "i0", {"acc": 1.0}), Response("python", "", {"brevity": 3.0})])
    more = Recorded(replace(recipe(0.2), coefficients={"weight": np.ones((1, 1)), "lambda": np.ones(1)}))
    worker = RecordedWorker([candidate(0.1), bare, more], "interpolated")
    outcome = ask(worker, recipe(0.3), {"t": ("i0",)})
    assert outcome.responses[0].metrics == {"acc": pytest.approx(0.2)}
    assert ask(worker, recipe(0.3)).error == Failure("invalid", "1 of 3 items were not recorded, the first: i1 of t")


def test_only_the_eight_nearest_count() -> None:
    far = candidate(1.0)
    near = [candidate(0.01 * number) for number in range(8)]
    with_it, without = (RecordedWorker(rows, "interpolated") for rows in ([far, *near], near))
    assert metric(ask(with_it, recipe(0.035)), 1, "acc") == metric(ask(without, recipe(0.035)), 1, "acc")


def analytic_table(folder: Path) -> Path:
    """Baselines and 60 random recipes, scored by formulas."""
    genome, generator = space("linear"), np.random.default_rng(0)
    recipes = [*baselines().values(), *(genome.decode(x) for x in generator.random((60, genome.n_var)))]
    items = {task: tuple(id for split in ITEMS.values() for id in split.get(task, ())) for task in ("north", "south")}
    jobs = [Job.of(recipe, items, Ask("search", 0, index)) for index, recipe in enumerate(recipes)]
    rows = [Recorded.of(job.recipe, Analytic()(job).responses) for job in jobs]
    response_table.write(folder / "table.jsonl", rows, "made up")
    return folder / "table.jsonl"


@pytest.mark.parametrize("searcher", ["nsga2", "cmaes"])
def test_a_search_over_a_table_needs_no_worker_and_repeats(tmp_path: Path, searcher: str) -> None:
    table = analytic_table(tmp_path)
    folded = []
    for name in ("one", "two"):
        executor = executors.make("recorded", workers.make_broken, table=str(table), unknown="interpolated")
        with RunStore.open(tmp_path / name, {}, {}) as store:
            result = search(plan(searcher, evaluations=80, depth="linear"), executor, store)
        assert result.evaluations == 80
        folded.append((tmp_path / name / "evaluations.jsonl").read_text().splitlines())
    assert folded[0] == folded[1]
    scored = [e for e in RunStore.read(tmp_path / "one").evaluations("search") if e.name is None]
    assert not any(e.error for e in scored)
    losses = [e.metrics["south.loss"] for e in scored]
    assert min(losses[40:]) < min(losses[:8]), "the search gets somewhere"


def test_the_table_of_the_example_is_whole() -> None:
    """Both tasks on all three splits, for every candidate, and both ends of the scale."""
    rows = response_table.read(example_table())
    assert len(rows) > 100
    assert not any(row.error for row in rows)
    keys = set(rows[0].metrics)
    assert len(keys) == 2 * 3 * 24
    assert all(set(row.metrics) == keys for row in rows)
    means = [np.mean([m["acc"] for (task, _), m in row.metrics.items() if task == "exam_a"]) for row in rows]
    assert max(means) - min(means) > 0.2
    executor = executors.make("recorded", workers.make_broken)
    asked = {"exam_a": tuple(item for task, item in rows[0].metrics if task == "exam_a")}
    jobs = [Job.of(row.recipe, asked, Ask("search", 1, number)) for number, row in enumerate(rows)]
    found = [np.mean([r.metrics["acc"] for r in result.outcome.responses]) for result in run(executor, jobs)]
    assert found == means
