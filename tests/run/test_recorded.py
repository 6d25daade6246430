"""A search over the table that comes with the package, by the program itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evomerge.cli.main import main
from evomerge.executors._shared import response_table
from evomerge.executors.recorded import example_table
from evomerge.recipe import Recipe
from evomerge.store import RunStore

WORDS = (
    "experiment=example", "items_per_task=24", "test_items_per_task=24", "executor=recorded", "progress=none",
    "evaluations=32",
)  # fmt: skip


def test_the_recorded_search_repeats_from_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table holds what this search proposed when models were scored, but for last bits that are the processor's."""
    assert main(["search", *WORDS, f"run_dir={tmp_path}"]) == 0
    assert "measuring" not in capsys.readouterr().out, "no model is loaded"
    store = RunStore.read(tmp_path)
    recorded = {row.recipe.digest for row in response_table.read(example_table())}
    found = [evaluation.digest for evaluation in store.evaluations("search")]
    assert len(found) == 4 + 32
    other = set(found) - recorded
    assert len(other) < len(found) / 4
    assert {evaluation.digest for evaluation in store.evaluations() if evaluation.error} == other
    assert Recipe.from_json(dict(store.evaluations("search")[5].recipe)).digest == found[5]
    assert json.loads((tmp_path / "status.json").read_text())["finished"]


def test_recorded_and_computed_candidates_do_not_share_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*WORDS, f"run_dir={tmp_path}", "searcher=random", "evaluations=5"]
    assert main(["search", *words, "executor.options.unknown=nearest"]) == 0
    assert main(["search", *words, "executor.options.unknown=interpolated"]) == 2
    assert main(["search", *words, "executor=local"]) == 2
    assert capsys.readouterr().err.count(f"{tmp_path} holds another run: executor") == 2


@pytest.mark.slow
def test_an_asynchronous_search_goes_on_where_it_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the program: reported like any other, another run than a search of batches, and told so in its settings."""
    words = [*WORDS[:-1], "executor.options.unknown=nearest", f"run_dir={tmp_path}"]
    for evaluations in (5, 20):
        assert main(["search", *words, "mode=asynchronous", f"evaluations={evaluations}"]) == 0
    said = capsys.readouterr().out
    assert "20 candidates scored in 2 batches (stopped by: evaluations)" in said
    turns = list(RunStore.read(tmp_path).turns)
    assert [turn.digest is None for turn in turns] == [False, True] * 20, "one worker: an ask, its evaluation, an ask"
    assert "asynchronous: a candidate for each worker that is free" in (tmp_path / "report.html").read_text()
    assert main(["search", *words, "evaluations=20"]) == 2
    assert 'holds another run: mode is "asynchronous" there' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "objectives", "said"),
    [
        (
            "searcher=cmaes",
            "[exam_a.acc]",
            "searcher cmaes proposes whole batches and waits for all of their values: it ",
        ),
        ("searcher=pso", "[exam_a.acc]", "change when all have moved; use de, ga, gp, random, tpe"),
        ("fitness=informative", "[exam_a.acc,exam_b.acc]", "write fitness=all, so that every candidate is asked all"),
        ("allocation.race=cut", "[exam_a.acc,exam_b.acc]", "asks the candidates of a batch some items"),
    ],
)
def test_what_needs_batches_is_refused_before_any_work(
    word: str, objectives: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*WORDS, "mode=asynchronous", word, f"objectives={objectives}", f"run_dir={tmp_path / 'run'}"]
    assert main(["search", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
