"""What a search relies on: no stale answers, no work repeated, no number that is not one."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evomerge.evaluation import SPLITS, Response
from evomerge.fitness import (
    FitnessSettings,
    MetricInfo,
    ModelTraits,
    NonFiniteScore,
    Scorer,
    Sharing,
    TaskSuite,
    inspect_tasks,
)
from tests.fitness.conftest import choice_rows, load_model, scored, shake, write_jsonl

ALL = ("pair", "cloze", "prose", "echo")


def build(tasks: Path, tokenizer: Any, model: Any, names: tuple[Any, ...] = ALL, **changes: Any) -> TaskSuite:
    settings = FitnessSettings(names, (str(tasks),), **{"max_length": 64, **changes})
    return TaskSuite.build(settings, tokenizer, config=model.config)


@pytest.fixture
def suite(tasks: Path, tokenizer: Any, model: Any) -> TaskSuite:
    return build(tasks, tokenizer, model)


def test_each_model_in_place_gives_its_own_answers(tasks: Path, suite: TaskSuite, model: Any, tokenizer: Any) -> None:
    first = scored(suite, model)
    shake(model, seed=1)
    second = scored(suite, model)
    assert [response.logprobs for response in first[1]] != [response.logprobs for response in second[1]]
    assert [response.texts for response in first[1]] != [response.texts for response in second[1]]
    assert scored(build(tasks, tokenizer, model), model) == second
    shake(model, seed=0)
    assert scored(suite, model) == first


def test_requests_are_laid_out_once_for_all_candidates(suite: TaskSuite, model: Any) -> None:
    scorer = Scorer.of(model, suite)
    scorer.score(model, "search")
    plan = scorer.plan("search")
    scorer.score(model, "search")
    assert scorer.plan("search") is plan


def test_a_suite_is_a_value(suite: TaskSuite, model: Any) -> None:
    for name in ("settings", "items", "sharing"):
        with pytest.raises(FrozenInstanceError):
            setattr(suite, name, None)
    before = dict(vars(suite))
    scored(suite, model)
    assert all(vars(suite)[name] is value for name, value in before.items())


def test_traits_are_found_out_once_and_given_on(suite: TaskSuite, model: Any) -> None:
    traits = ModelTraits.probe(model, suite)
    assert traits.sharing is not None
    assert traits.sharing.share
    assert ModelTraits.probe(model, suite) == traits
    assert Scorer(suite, traits).score(model, "test") == Scorer.of(model, suite).score(model, "test")
    plain = ModelTraits.probe(model, suite, "plain")
    assert plain.sharing == Sharing(False, "")
    assert Scorer(suite, plain).plan("search").forward_tokens > Scorer(suite, traits).plan("search").forward_tokens
    expected = ModelTraits.expected(suite.tokenizer, model.config)
    assert replace(traits, sharing=None, logits=expected.logits) == expected


def test_memory_is_predicted_before_a_model_is_asked(suite: TaskSuite, model: Any) -> None:
    expected = Scorer(suite, ModelTraits.expected(suite.tokenizer, model.config))
    found = Scorer.of(model, suite)
    for split in SPLITS:
        assert 0 < found.predicted_bytes(split) <= expected.predicted_bytes(split)


def test_scoring_encodes_nothing(suite: TaskSuite, model: Any) -> None:
    before = suite.encoder.calls
    assert before > 0
    for split in SPLITS:
        scored(suite, model, split)
    assert suite.encoder.calls == before


def test_a_part_of_the_items_gets_the_same_answers(suite: TaskSuite, model: Any) -> None:
    _, everything = scored(suite, model)
    part = {task: ids[1::2] for task, ids in suite.items["search"].items()}
    _, some = scored(suite, model, "search", part)
    known = {response.item: response for response in everything}
    assert [response.item for response in some] == [item for ids in part.values() for item in ids]
    for response in some:
        assert response.logprobs == pytest.approx(known[response.item].logprobs, abs=1e-4)
        assert response.texts == known[response.item].texts


def test_batch_size_changes_the_answers_only_by_rounding(
    tasks: Path, suite: TaskSuite, model: Any, tokenizer: Any
) -> None:
    _, batched = scored(suite, model)
    _, single = scored(build(tasks, tokenizer, model, batch_size=1), model)
    for one, other in zip(batched, single, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
        assert one.texts == other.texts


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


def test_items_outside_the_split_are_refused(suite: TaskSuite, model: Any) -> None:
    with pytest.raises(ValueError, match="do not belong to the search split"):
        scored(suite, model, "search", {"choice": suite.items["test"]["choice"][:1]})
    with pytest.raises(ValueError, match="under their own task"):
        scored(suite, model, "search", {"letters": suite.items["search"]["choice"][:1]})


def test_a_broken_model_has_no_score(tasks: Path, suite: TaskSuite, model: Any, tokenizer: Any) -> None:
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight[0, 0] = float("nan")
    with pytest.raises(NonFiniteScore, match=r"task 'choice', item [0-9a-f]{16}"):
        scored(suite, model)
    with pytest.raises(NonFiniteScore, match="task 'echo'") as caught:
        scored(build(tasks, tokenizer, model, ("echo",)), model)
    assert caught.value.item in suite.items["search"]["echo"]


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
    tasks: Path, checkpoint: Path, tokenizer: Any, model: Any
) -> None:
    # Nothing is fetched for data of this machine, even where the network is allowed.
    environment = {**os.environ, "PYTHONHASHSEED": "77", "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", SHOW_ITEMS, str(tasks), str(checkpoint)]
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    suite = build(tasks, tokenizer, model, ("choice", "echo"), items_per_task=5, num_fewshot=1)
    assert json.loads(run.stdout) == json.loads(json.dumps([suite.items, suite.content, []]))


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


def test_inspection_needs_no_model(tasks: Path, tokenizer: Any, model: Any) -> None:
    settings = FitnessSettings(ALL, (str(tasks),), items_per_task=5)
    found = inspect_tasks(settings)
    suite = build(tasks, tokenizer, model, items_per_task=5)
    assert found.metrics == {key: info.higher_is_better for key, info in suite.metrics.items()}
    by_name = {listing.task: listing for listing in found.tasks}
    assert list(by_name) == ["choice", "letters", "cloze", "prose", "echo"]
    letters = by_name["letters"]
    assert (letters.output_type, letters.total, letters.num_fewshot) == ("multiple_choice", 40, 0)
    assert letters.items == {split: len(suite.items[split]["letters"]) for split in SPLITS}
    assert letters.sample["options"] == ["A", "B", "C", "D"]


def test_what_people_should_know(tasks: Path, tokenizer: Any, model: Any) -> None:
    suite = build(tasks, tokenizer, model, ("choice", "letters"), num_fewshot=2)
    assert [warning for warning in suite.warnings if "an item may be shown its own answer" in warning]
    assert [warning for warning in suite.warnings if "longer than 64 tokens" in warning]
    assert not build(tasks, tokenizer, model, ("letters",)).warnings


def test_bfloat16_scores_like_float32(tasks: Path, suite: TaskSuite, checkpoint: Path, model: Any) -> None:
    exact, _ = scored(suite, model)
    rounded, _ = scored(suite, load_model(checkpoint, dtype=torch.bfloat16))
    assert set(rounded) == set(exact)
    assert rounded["prose.bits_per_byte"] == pytest.approx(exact["prose.bits_per_byte"], rel=0.05)
