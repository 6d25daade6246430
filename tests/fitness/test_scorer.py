"""A scorer asks what is asked, once, the same for every candidate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from evomerge.evaluation import SPLITS
from evomerge.fitness import (
    ModelTraits,
    NonFiniteScore,
    Scorer,
    TaskSuite,
)
from tests.fitness.conftest import build, load_model, scored, shake


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


def test_bfloat16_scores_like_float32(tasks: Path, suite: TaskSuite, checkpoint: Path, model: Any) -> None:
    exact, _ = scored(suite, model)
    rounded, _ = scored(suite, load_model(checkpoint, dtype=torch.bfloat16))
    assert set(rounded) == set(exact)
    assert rounded["prose.bits_per_byte"] == pytest.approx(exact["prose.bits_per_byte"], rel=0.05)


def test_memory_is_predicted_before_a_model_is_asked(suite: TaskSuite, model: Any) -> None:
    expected = Scorer(suite, ModelTraits.expected(suite.tokenizer, model.config))
    found = Scorer.of(model, suite)
    for split in SPLITS:
        assert 0 < found.predicted_bytes(split) <= expected.predicted_bytes(split)
