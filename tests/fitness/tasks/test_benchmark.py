"""A benchmark judges answers item by item, and can be cut to some of its items."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from evomerge.fitness import Generated, Likelihood
from evomerge.fitness.tasks.benchmark import Benchmark
from tests.fitness.tasks.declaring import declare, inspect, opened

CODE = """
from lm_eval.api.task import MultipleChoiceTask

def edits(references, predictions, **_):
    return {"missed": float(references != predictions), "longer": float(len(predictions[0]))}

class Own(MultipleChoiceTask):
    def download(self, *_):
        self.rows = [{"q": f"Item {n}:", "choices": ["red", "green", "blue"], "gold": n % 3} for n in range(30)]

    def has_training_docs(self):
        return False

    def has_validation_docs(self):
        return False

    def has_test_docs(self):
        return True

    def test_docs(self):
        return self.rows

    def doc_to_text(self, doc):
        return doc["q"]

    def construct_requests(self, doc, ctx, metadata, **_):
        return super().construct_requests(doc, ctx, metadata=metadata)
"""


@pytest.fixture(scope="module")
def benchmarks(tasks: Path) -> dict[str, Benchmark]:
    return dict(opened(tasks, "letters", "echo", "prose").benchmarks)


def test_answers_are_judged_by_hand(benchmarks: dict[str, Benchmark]) -> None:
    letters = benchmarks["letters"]
    item = next(iter(letters.items.values()))
    likely = [Likelihood(-1.0 if place == item.gold[0] else -2.0, False) for place in range(4)]
    unlikely = [Likelihood(-2.0 if place == item.gold[0] else -1.0, True) for place in range(4)]
    (right,), (wrong,) = letters.judge({item.id: likely}), letters.judge({item.id: unlikely})
    assert (right.metrics["acc"], wrong.metrics["acc"]) == (1.0, 0.0)
    assert right.logprobs == tuple(answer.logprob for answer in likely)
    assert wrong.greedy == (True,) * 4
    assert letters.aggregate([right, wrong])["acc"] == 0.5


def test_filters_have_metrics_of_their_own(benchmarks: dict[str, Benchmark]) -> None:
    echo = benchmarks["echo"]
    item = next(iter(echo.items.values()))
    (found,) = echo.judge({item.id: [Generated(f"?{item.target} and more", True)]})
    assert found.metrics == {"exact_match,first-letter": 1.0, "exact_match,whole": 0.0}
    assert (found.texts, found.truncated) == ((f"?{item.target} and more",), True)
    assert echo.filters == ("first-letter", "whole")


def test_pairs_are_kept_for_aggregation(benchmarks: dict[str, Benchmark]) -> None:
    prose = benchmarks["prose"]
    answers = {item: [Likelihood(-10.0, False)] for item in prose.items}
    judged = prose.judge(answers)
    size = len(next(iter(prose.items.values())).target.encode())
    assert judged[0].metrics["bits_per_byte"] == [-10.0, size]
    assert set(prose.aggregate(judged)) == {"word_perplexity", "byte_perplexity", "bits_per_byte"}
    assert not any(prose.metrics.values())  # less is better


def test_a_benchmark_is_a_value(benchmarks: dict[str, Benchmark]) -> None:
    letters = benchmarks["letters"]
    some = list(letters.items)[3:5]
    kept = letters.keep(set(some))
    assert list(kept.items) == some
    assert len(letters.items) == 40
    assert kept.warn("careful").warnings == (*letters.warnings, "careful")
    with pytest.raises(FrozenInstanceError):
        kept.name = "other"  # type: ignore[misc]


def test_several_metrics_of_one_function_have_its_direction(tasks: Path, tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "cloze.jsonl").write_bytes((tasks / "cloze.jsonl").read_bytes())
    echo, _, _ = (tasks / "echo.yaml").read_text(encoding="utf-8").partition("filter_list")
    metric = "metric_list: [{metric: !function code.edits, aggregation: mean, higher_is_better: false}]\n"
    declare(tmp_path, "echo", echo + metric)
    found = inspect(tmp_path, "echo")
    assert found.metrics == dict.fromkeys(["echo.missed", "echo.longer", "echo.tokens", "echo.truncated"], False)
    assert found.warnings == ()


def test_only_a_class_knows_what_its_answers_mean(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(CODE, encoding="utf-8")
    declare(tmp_path, "own", "task: own\nclass: !function code.Own\n")
    own = opened(tmp_path, "own").benchmarks["own"]
    (second,) = (item for item in own.items.values() if item.doc["q"] == "Item 1:")
    (judged,) = own.judge({second.id: [Likelihood(-1.0 - (place != 1), False) for place in range(3)]})
    assert judged.metrics == {"acc": 1.0, "acc_norm": 1.0}
