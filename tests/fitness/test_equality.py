"""Our scores are lm-eval's: same items, same model, its own Hugging Face backend beside our loop."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lm_eval
import pytest
import torch
import transformers
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from evomerge.evaluation import Response
from evomerge.fitness import FitnessSettings, TaskSuite
from tests.fitness.conftest import load_model, scored

EVERYTHING = {"search": 1.0, "selection": 0.0, "test": 0.0}
LENGTH = 64
TOLERANCE = 1e-4


def theirs(
    names: list[str], folder: Path, model: torch.nn.Module, tokenizer: Any, num_fewshot: int = 0, **options: Any
) -> Mapping[str, Any]:
    """What ``lm_eval.evaluate`` makes of these tasks; the working folder must be the tasks' own."""
    loaded = TaskManager(include_path=str(folder), include_defaults=False).load(names)
    for task in loaded["tasks"].values():
        task.set_config("num_fewshot", num_fewshot)
        task.set_fewshot_seed(1234)
    lm = HFLM(
        pretrained=model,
        tokenizer=copy.deepcopy(tokenizer),
        batch_size=4,
        max_length=LENGTH,
        softmax_dtype="float32",
    )
    result = lm_eval.evaluate(lm, loaded, bootstrap_iters=0, log_samples=True, **options)
    assert result is not None
    return result


def ours(
    names: list[str], folder: Path, model: Any, tokenizer: Any, **changes: Any
) -> tuple[TaskSuite, dict[str, float], list[Response]]:
    settings = FitnessSettings(
        tuple(names), (str(folder),), splits=EVERYTHING, **{"max_length": LENGTH, "num_fewshot": 0, **changes}
    )
    suite = TaskSuite.build(settings, tokenizer, config=model.config)
    return suite, *scored(suite, model)


def compare_metrics(result: Mapping[str, Any], metrics: Mapping[str, float], exact: tuple[str, ...]) -> None:
    """Every number that lm-eval reports is there: accuracies exactly, others closely."""
    compared = 0
    for name, values in result["results"].items():
        for key, value in values.items():
            if "," not in key or "_stderr" in key:
                continue
            metric = key.removesuffix(",none")
            mine = metrics[f"{name}.{metric}"]
            compared += 1
            if metric.split(",")[0] in exact:
                assert mine == value, (name, metric)
            else:
                assert mine == pytest.approx(value, rel=1e-4), (name, metric)
    assert compared


def compare_logprobs(result: Mapping[str, Any], responses: list[Response], task: str) -> None:
    mine = [response for response in responses if response.task == task]
    samples = sorted(result["samples"][task], key=lambda sample: sample["doc_id"])
    assert len(mine) == len(samples) > 10
    for response, sample in zip(mine, samples, strict=True):
        pairs = [group[0] for group in sample["resps"]]
        expected = [pair if isinstance(pair, float) else pair[0] for pair in pairs]
        assert response.logprobs == pytest.approx(expected, abs=TOLERANCE)
        if isinstance(pairs[0], tuple):
            assert response.greedy == tuple(pair[1] for pair in pairs)


@pytest.fixture(autouse=True)
def in_task_folder(tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # lm-eval looks for relative data files in the working folder.
    monkeypatch.chdir(tasks)


def test_multiple_choice(tasks: Path, model: Any, tokenizer: Any) -> None:
    result = theirs(["choice"], tasks, model, tokenizer)
    _, metrics, responses = ours(["choice"], tasks, model, tokenizer)
    compare_metrics(result, metrics, ("acc", "acc_norm", "acc_mutual_info"))
    compare_logprobs(result, responses, "choice")
    assert {0.0, 1.0} == {response.metrics["acc"] for response in responses}


def test_options_of_one_token(tasks: Path, model: Any, tokenizer: Any) -> None:
    result = theirs(["letters"], tasks, model, tokenizer)
    _, metrics, responses = ours(["letters"], tasks, model, tokenizer)
    compare_metrics(result, metrics, ("acc", "acc_norm"))
    compare_logprobs(result, responses, "letters")


@pytest.mark.parametrize(("task", "golds"), [("gap", 1), ("either", 2)])
def test_options_before_the_text_and_several_right_answers(
    task: str, golds: int, tasks: Path, model: Any, tokenizer: Any
) -> None:
    result = theirs([task], tasks, model, tokenizer)
    suite, metrics, responses = ours([task], tasks, model, tokenizer)
    compare_metrics(result, metrics, ("acc", "acc_norm"))
    compare_logprobs(result, responses, task)
    for response in responses:
        described = suite.describe(response.item)
        right = [described["options"].index(text) for text in described["gold"].split(" | ")]
        assert len(right) == golds
        assert response.metrics["acc"] == float(max(range(4), key=response.logprobs.__getitem__) in right)


def test_loglikelihood(tasks: Path, model: Any, tokenizer: Any) -> None:
    result = theirs(["cloze"], tasks, model, tokenizer)
    _, metrics, responses = ours(["cloze"], tasks, model, tokenizer)
    compare_metrics(result, metrics, ("acc",))
    compare_logprobs(result, responses, "cloze")


def test_rolling_loglikelihood_in_several_windows(tasks: Path, model: Any, tokenizer: Any) -> None:
    result = theirs(["prose"], tasks, model, tokenizer)
    suite, metrics, responses = ours(["prose"], tasks, model, tokenizer)
    compare_metrics(result, metrics, ())
    compare_logprobs(result, responses, "prose")
    texts = [suite.describe(response.item)["question"] for response in responses]
    assert max(len(tokenizer.encode(text)) for text in texts) > 3 * LENGTH


def test_generation_with_filters(tasks: Path, model: Any, tokenizer: Any) -> None:
    result = theirs(["echo"], tasks, model, tokenizer)
    _, metrics, responses = ours(["echo"], tasks, model, tokenizer)
    compare_metrics(result, metrics, ("exact_match",))
    samples = [sample for sample in result["samples"]["echo"] if sample["filter"] == "whole"]
    by_doc = sorted(samples, key=lambda sample: sample["doc_id"])
    assert [response.texts for response in responses] == [tuple(sample["resps"][0]) for sample in by_doc]
    assert len({response.texts for response in responses}) > 5
    assert {response.truncated for response in responses} == {True, False}
    assert 0.0 < metrics["echo.exact_match,first-letter"] < 1.0


def test_generation_arguments_are_overridden(tasks: Path, model: Any, tokenizer: Any) -> None:
    _, _, responses = ours(["echo"], tasks, model, tokenizer, gen_kwargs={"max_gen_toks": 3, "until": ["zz"]})
    assert all(len(response.texts[0]) <= 3 for response in responses)
    assert all(response.truncated for response in responses)
    assert {response.tokens for response in responses} == {(3,)}


def test_task_group(tasks: Path, model: Any, tokenizer: Any) -> None:
    result = theirs(["pair"], tasks, model, tokenizer)
    _, metrics, _ = ours(["pair"], tasks, model, tokenizer)
    assert {"acc,none", "acc_norm,none"} <= set(result["groups"]["pair"])
    compare_metrics(result, metrics, ("acc", "acc_norm", "acc_mutual_info"))


def test_two_shot(tasks: Path, model: Any, tokenizer: Any) -> None:
    result = theirs(["letters"], tasks, model, tokenizer, num_fewshot=2)
    suite, metrics, responses = ours(["letters"], tasks, model, tokenizer, num_fewshot=2)
    compare_metrics(result, metrics, ("acc", "acc_norm"))
    compare_logprobs(result, responses, "letters")
    prompts = [suite.describe(response.item)["question"] for response in responses]
    assert all(prompt.count("is one of") == 3 for prompt in prompts)
    # The examples are drawn anew for each item, from a generator that runs on.
    assert len({prompt.rsplit("\n\n", 1)[0] for prompt in prompts}) > 5


@pytest.mark.parametrize("multiturn", [False, True])
def test_chat_template(tasks: Path, model: Any, tokenizer: Any, multiturn: bool) -> None:
    options = {"apply_chat_template": True, "fewshot_as_multiturn": multiturn, "system_instruction": "Be brief."}
    result = theirs(["letters"], tasks, model, tokenizer, num_fewshot=1, **options)
    suite, metrics, responses = ours(["letters"], tasks, model, tokenizer, num_fewshot=1, **options)
    compare_metrics(result, metrics, ("acc", "acc_norm"))
    compare_logprobs(result, responses, "letters")
    prompt = suite.describe(responses[0].item)["question"]
    assert prompt.startswith("<bos>system: Be brief.")
    assert prompt.count("assistant:") == (1 if multiturn else 0)


def test_half_precision_is_judged_in_float32(tasks: Path, checkpoint: Path, tokenizer: Any) -> None:
    model = load_model(checkpoint, dtype=torch.bfloat16)
    result = theirs(["letters"], tasks, model, tokenizer)
    # Read as lm-eval reads it: in bfloat16 another arrangement in rows rounds hidden states otherwise.
    _, metrics, responses = ours(["letters"], tasks, model, tokenizer, prefixes="plain")
    compare_metrics(result, metrics, ("acc", "acc_norm"))
    compare_logprobs(result, responses, "letters")
    values = [value for response in responses for value in response.logprobs]
    coarse = set(torch.tensor(values).to(torch.bfloat16).tolist())
    assert len(set(values)) > len(coarse)


@pytest.mark.parametrize("kind", ["gpt2", "gemma2", "mixtral", "mamba"])
def test_other_architectures(kind: str, tasks: Path, tmp_path: Path, tokenizer: Any) -> None:
    from tests.building import tiny

    model = transformers.AutoModelForCausalLM.from_pretrained(tiny(kind, tmp_path, seed=1)).eval()
    result = theirs(["choice"], tasks, model, tokenizer)
    _, metrics, responses = ours(["choice"], tasks, model, tokenizer)
    compare_metrics(result, metrics, ("acc", "acc_norm", "acc_mutual_info"))
    compare_logprobs(result, responses, "choice")
