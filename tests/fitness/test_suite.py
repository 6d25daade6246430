"""What a search relies on: no stale answers, no work repeated, no number that is not one."""

from __future__ import annotations

import json
import math
import random
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evomerge.evaluation import Response
from evomerge.fitness import (
    MetricInfo,
    TaskSuite,
)
from tests.apart import Apart
from tests.fitness.conftest import build, choice_rows, scored, write_jsonl


def test_a_suite_is_a_value(suite: TaskSuite, model: Any) -> None:
    for name in ("settings", "items", "sharing"):
        with pytest.raises(FrozenInstanceError):
            setattr(suite, name, None)
    before = dict(vars(suite))
    scored(suite, model)
    assert all(vars(suite)[name] is value for name, value in before.items())


def test_metrics_follow_from_stored_responses(suite: TaskSuite, model: Any) -> None:
    metrics, responses = scored(suite, model)
    stored = [Response.from_json(json.loads(json.dumps(response.to_json()))) for response in responses]
    assert suite.aggregate(stored) == metrics


def test_metrics_are_known_before_anything_is_scored(suite: TaskSuite, model: Any) -> None:
    metrics, _ = scored(suite, model)
    assert set(suite.metrics) == set(metrics)
    assert suite.metrics["choice.acc"] == MetricInfo(higher_is_better=True)
    assert suite.metrics["pair.acc"] == MetricInfo(higher_is_better=True)
    lower = {key for key, info in suite.metrics.items() if not info.higher_is_better}
    assert {"cloze.perplexity", "prose.bits_per_byte", "choice.brier_score", "letters.brier_score"} <= lower


def test_smooth_metrics_of_a_choice(suite: TaskSuite, model: Any) -> None:
    metrics, responses = scored(suite, model)
    letters = [response for response in responses if response.task == "letters"]
    for response in letters:
        gold = "ABCD".index(suite.describe(response.item)["gold"])
        logprobs = torch.tensor(response.logprobs, dtype=torch.float64)
        probabilities = logprobs.softmax(0)
        assert response.metrics["gold_logprob"] == response.logprobs[gold]
        assert response.metrics["gold_prob"] == pytest.approx(float(probabilities[gold]))
        wrong = sum(float(value) ** 2 for place, value in enumerate(probabilities) if place != gold)
        assert response.metrics["brier_score"] == pytest.approx(wrong + float(1 - probabilities[gold]) ** 2)
    mean = sum(response.metrics["gold_logprob"] for response in letters) / len(letters)
    assert metrics["letters.gold_logprob"] == pytest.approx(mean)
    cloze = next(response for response in responses if response.task == "cloze")
    assert cloze.metrics["gold_logprob"] == cloze.logprobs[0]


def test_items_are_described_for_people(suite: TaskSuite) -> None:
    item = suite.items["test"]["choice"][0]
    described = suite.describe(item)
    assert described["question"].startswith("Which word ends ")
    assert described["gold"] in described["options"]
    assert len(described["options"]) == 4


def test_an_overflowing_perplexity_is_left_out(suite: TaskSuite, model: Any) -> None:
    with torch.no_grad():
        model.lm_head.weight *= 1e4
    metrics, responses = scored(suite, model)
    assert "cloze.perplexity" not in metrics
    assert metrics["cloze.gold_logprob"] < -1e4
    assert len(responses) == sum(len(ids) for ids in suite.items["search"].values())


def test_groups_are_scored_only_when_all_their_tasks_are(suite: TaskSuite, model: Any) -> None:
    metrics, _ = scored(suite, model, "search", {"choice": suite.items["search"]["choice"]})
    assert "choice.acc" in metrics
    assert not any(key.startswith("pair.") for key in metrics)


def test_splits_share_no_item_and_lose_none(suite: TaskSuite, tasks: Path, tokenizer: Any, model: Any) -> None:
    ids = [item for tasks_of in suite.items.values() for items in tasks_of.values() for item in items]
    assert len(ids) == len(set(ids)) == 40 + 40 + 30 + 16 + 30
    other = build(tasks, tokenizer, model, seed=9)
    assert other.items == suite.items
    assert set(suite.content) == set(ids)


def test_samples_follow_the_seed_and_the_limits(tasks: Path, tokenizer: Any, model: Any) -> None:
    sampled = {
        seed: build(tasks, tokenizer, model, items_per_task=6, test_items_per_task=3, seed=seed) for seed in (0, 1)
    }
    everything = build(tasks, tokenizer, model)
    for seed in (0, 1):
        for split, limit in (("search", 6), ("test", 3)):
            for task, ids in sampled[seed].items[split].items():
                assert len(ids) == min(limit, len(everything.items[split][task])) > 1
                assert set(ids) <= set(everything.items[split][task])
    assert sampled[0].items != sampled[1].items


def test_content_follows_prompts(tasks: Path, tokenizer: Any, model: Any) -> None:
    plain, shots = (build(tasks, tokenizer, model, ("letters",), num_fewshot=count) for count in (0, 1))
    assert plain.items == shots.items
    assert all(plain.content[item] != shots.content[item] for item in plain.content)


SHOW_ITEMS = """
import json, sys
attempts = []
sys.addaudithook(lambda event, _: attempts.append(event) if event in ("socket.connect", "socket.getaddrinfo") else None)
from pathlib import Path
import transformers
from evomerge.fitness import FitnessSettings, TaskSuite
folder, checkpoint = sys.argv[1:]
settings = FitnessSettings(("choice", "echo"), (folder,), items_per_task=5, num_fewshot=1, max_length=64)
suite = TaskSuite.build(settings, transformers.AutoTokenizer.from_pretrained(checkpoint))
print(json.dumps([suite.items, suite.content, attempts]))
"""


def test_another_process_asks_the_same_and_nobody_else(
    bare: Apart, tasks: Path, checkpoint: Path, tokenizer: Any, model: Any
) -> None:
    # Nothing is fetched for data of this machine, even where the network is allowed.
    said = bare.start(SHOW_ITEMS, str(tasks), str(checkpoint), HF_HUB_OFFLINE="0").output()
    suite = build(tasks, tokenizer, model, ("choice", "echo"), items_per_task=5, num_fewshot=1)
    assert json.loads(said) == json.loads(json.dumps([suite.items, suite.content, []]))


HOSTILE = """
import random
import numpy as np
import torch

def _reseed():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)

def process_docs(dataset):
    _reseed()
    return dataset

def doc_to_text(doc):
    _reseed()
    return doc["stem"]

def process_results(doc, results):
    _reseed()
    doc["gold"] = 3
    logprobs = [pair[0] for pair in results]
    return {"acc": float(int(np.argmax(logprobs)) == doc["gold"]), "lucky": random.random()}
"""
HOSTILE_TASK = """
task: hostile
dataset_path: json
dataset_kwargs: {data_files: {test: choice.jsonl}}
test_split: test
output_type: multiple_choice
process_docs: !function hostile.process_docs
doc_to_text: !function hostile.doc_to_text
doc_to_choice: options
doc_to_target: gold
process_results: !function hostile.process_results
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: lucky, aggregation: mean, higher_is_better: true}
"""


def test_a_task_that_reseeds_everything_changes_nothing(tmp_path: Path, tokenizer: Any, model: Any) -> None:
    write_jsonl(tmp_path / "choice.jsonl", choice_rows(30))
    (tmp_path / "hostile.py").write_text(HOSTILE, encoding="utf-8")
    (tmp_path / "hostile.yaml").write_text(HOSTILE_TASK, encoding="utf-8")
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)

    def states() -> tuple[Any, ...]:
        numpy = np.random.get_state()  # noqa: NPY002
        return random.getstate(), tuple(numpy[1]), numpy[2:], torch.get_rng_state().tolist()

    before = states()
    suite = build(tmp_path, tokenizer, model, ("hostile",))
    first = scored(suite, model)
    assert states() == before
    random.seed(99)
    assert scored(suite, model) == first
    # Its writing into a document is not seen by the next candidate, nor are its answers judged by another key.
    golds = [suite.describe(response.item)["gold"] for response in first[1]]
    options = [suite.describe(response.item)["options"] for response in first[1]]
    assert any(gold != option[3] for gold, option in zip(golds, options, strict=True))
    assert not any("gold_logprob" in response.metrics for response in first[1])


def test_prompts_do_not_depend_on_other_tasks(tasks: Path, tokenizer: Any, model: Any) -> None:
    alone = build(tasks, tokenizer, model, ("letters",), num_fewshot=2)
    together = build(tasks, tokenizer, model, ("choice", "cloze", "letters"), num_fewshot=2)
    assert {item: together.content[item] for item in alone.content} == alone.content


def test_what_people_should_know(tasks: Path, tokenizer: Any, model: Any) -> None:
    suite = build(tasks, tokenizer, model, ("choice", "letters"), num_fewshot=2)
    assert [warning for warning in suite.warnings if "an item may be shown its own answer" in warning]
    assert [warning for warning in suite.warnings if "longer than 64 tokens" in warning]
    assert not build(tasks, tokenizer, model, ("letters",)).warnings


def test_generation_arguments_that_nothing_heeds_are_pointed_out(tasks: Path, tokenizer: Any, model: Any) -> None:
    told = "gen_kwargs has no effect: no task generates text"
    assert told in build(tasks, tokenizer, model, ("choice",), gen_kwargs={"max_gen_toks": 4}).warnings
    assert told not in build(tasks, tokenizer, model, ("echo",), gen_kwargs={"max_gen_toks": 4}).warnings


def test_of_several_limits_of_new_tokens_the_first_counts(tasks: Path, tokenizer: Any, model: Any) -> None:
    suite = build(tasks, tokenizer, model, ("echo",), gen_kwargs={"max_new_tokens": 4})
    told = (
        "task 'echo': its generation arguments set max_gen_toks=12, max_new_tokens=4; the first counts, as in lm-eval"
    )
    assert suite.warnings == (told,)
    assert not build(tasks, tokenizer, model, ("echo",), gen_kwargs={"max_new_tokens": 12}).warnings


def test_a_group_has_no_score_where_a_task_of_it_has_none(suite: TaskSuite, model: Any) -> None:
    metrics, responses = scored(suite, model)
    spoilt = [
        replace(one, metrics=one.metrics | {"acc_norm": math.nan}) if one.task == "letters" else one
        for one in responses
    ]
    found = suite.aggregate(spoilt)
    assert set(metrics) - set(found) == {"letters.acc_norm", "pair.acc_norm"}
    assert found["pair.acc"] == metrics["pair.acc"]
