"""Answers without their thinking are lm-eval's: its ``think_end_token`` beside our setting."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import lm_eval
import pytest
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from evomerge.errors import InputError
from evomerge.evaluation import Response
from evomerge.fitness import FitnessSettings, TaskSuite
from evomerge.fitness.inference.generation.thinking import ThinkEnd
from tests.building import CHAT_TEMPLATE
from tests.fitness.conftest import build, scored

EVERYTHING = {"search": 1.0, "selection": 0.0, "test": 0.0}
END = "c"  # one of the letters that the model writes
REASONS = CHAT_TEMPLATE + "{# an answer comes after </think> #}"
# An answer ends early, at a stop text that thinking may hold too, or at the limit alone.
EARLY, LATE = {"max_gen_toks": 16}, {"until": ["zz"], "max_gen_toks": 16}
ASKED = 6  # of the task's items, in its order


def special(tokenizer: Any) -> Any:
    """The tokenizer with the end of thinking as a special token, which decoding leaves out."""
    found = copy.deepcopy(tokenizer)
    found.add_special_tokens({"additional_special_tokens": [END]})
    assert found.convert_tokens_to_ids(END) in found.all_special_ids
    assert len(found) == len(tokenizer)
    return found


def theirs(
    folder: Path, model: Any, tokenizer: Any, arguments: dict[str, Any], end: str | int
) -> list[tuple[str, ...]]:
    task = TaskManager(include_path=str(folder), include_defaults=False).load(["echo"])
    task["tasks"]["echo"].set_config("generation_kwargs", dict(arguments), update=True)
    task["tasks"]["echo"].set_config("num_fewshot", 0)
    # One prompt at a time: in a batch lm-eval goes on past a stop text until all prompts have met it.
    lm = HFLM(pretrained=model, tokenizer=copy.deepcopy(tokenizer), batch_size=1, max_length=64, think_end_token=end)
    result = lm_eval.evaluate(lm, task, bootstrap_iters=0, log_samples=True, limit=ASKED)
    assert result is not None
    samples = [sample for sample in result["samples"]["echo"] if sample["filter"] == "whole"]
    return [tuple(sample["resps"][0]) for sample in sorted(samples, key=lambda sample: sample["doc_id"])]


def ours(folder: Path, model: Any, tokenizer: Any, arguments: dict[str, Any], end: str | None) -> list[Response]:
    given = {"splits": EVERYTHING, "gen_kwargs": arguments, "think_end": end, "num_fewshot": 0}
    return scored(build(folder, tokenizer, model, ("echo",), **given), model)[1][:ASKED]


@pytest.mark.parametrize(("arguments", "as_token"), [(EARLY, False), (LATE, True)])
def test_texts_are_lm_evals(
    arguments: dict[str, Any], as_token: bool, tasks: Path, model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tasks)
    reader = special(tokenizer) if as_token else tokenizer
    end = reader.convert_tokens_to_ids(END) if as_token else END
    responses = ours(tasks, model, reader, arguments, END)
    assert [response.texts for response in responses] == theirs(tasks, model, reader, arguments, end)
    whole = ours(tasks, model, tokenizer, arguments, None)
    left_out = [a.texts[0] != b.texts[0].lstrip() for a, b in zip(responses, whole, strict=True)]
    assert set(left_out) == {True, False}
    # Thinking is not judged, and it is counted.
    assert [response.tokens for response in responses] == [response.tokens for response in whole]
    assert [response.truncated for response in responses] == [response.truncated for response in whole]


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("a bcd", "d"),
        ("a c b c  d", "d"),  # after the last end, without blanks
        ("a b d", "a b d"),  # which never ended: judged whole
        ("a c", ""),
    ],
)
def test_what_is_left_of_an_answer(written: str, answer: str, tokenizer: Any) -> None:
    for reader in (tokenizer, special(tokenizer)):
        end = ThinkEnd.of(reader, END, chat=False)
        assert end is not None
        assert (end.token is None) == (reader is tokenizer)
        tokens = reader.encode(written, add_special_tokens=False)
        assert end.answer(reader, tokens) == answer


def test_auto_follows_the_chat_template(tokenizer: Any) -> None:
    thinking = copy.deepcopy(tokenizer)
    thinking.chat_template = REASONS
    assert ThinkEnd.of(thinking, "auto", chat=True) == ThinkEnd("</think>")
    assert ThinkEnd.of(thinking, "auto", chat=False) is None
    assert ThinkEnd.of(thinking, None, chat=True) is None
    assert ThinkEnd.of(tokenizer, "auto", chat=True) is None
    thinking.chat_template = None
    assert ThinkEnd.of(thinking, "auto", chat=True) is None
    assert ThinkEnd.of(thinking, "<end>", chat=False) == ThinkEnd("<end>")


def test_judging_and_warnings_follow(tasks: Path, model: Any, tokenizer: Any) -> None:
    thinking = copy.deepcopy(tokenizer)
    thinking.chat_template = REASONS
    chat = {"apply_chat_template": True}
    names = ("echo", "letters")
    plain, auto = (build(tasks, reader, model, names, **chat) for reader in (tokenizer, thinking))
    off = build(tasks, thinking, model, names, **chat, think_end=None)
    assert [plain.think_end, off.think_end] == [None, None]
    assert auto.think_end == ThinkEnd("</think>")
    assert off.judging == plain.judging
    assert {name for name in off.judging if off.judging[name] != auto.judging[name]} == {"echo"}
    told = [warning for warning in auto.warnings if "</think>" in warning]
    assert [warning.partition(";")[0] for warning in told] == [
        r"task 'echo': its stop text '\n' ends an answer in the thinking before </think> too, as in lm-eval"
    ]
    assert not any("think" in warning for warning in (*plain.warnings, *off.warnings))
    # Where nothing is generated there is nothing to leave out.
    assert build(tasks, thinking, model, ("letters",), **chat, think_end="</think>").think_end is None


def test_arguments_of_the_chat_template(tasks: Path, model: Any, tokenizer: Any) -> None:
    reader = copy.deepcopy(tokenizer)
    reader.chat_template = (
        CHAT_TEMPLATE + "{{ 'think' if enable_thinking is not defined or enable_thinking else 'no' }}"
    )
    for given, end in (({}, "think"), ({"enable_thinking": False}, "no")):
        suite = build(tasks, reader, model, ("echo",), apply_chat_template=True, chat_template_args=given)
        assert all(suite.describe(item)["question"].endswith(end) for item in suite.split)


def test_bad_settings_are_refused(tasks: Path, tokenizer: Any) -> None:
    wrong = FitnessSettings(("echo",), (str(tasks),), think_end=" ", chat_template_args={"tokenize": True})
    with pytest.raises(InputError) as raised:
        TaskSuite.build(wrong, tokenizer)
    assert list(raised.value.problems) == [
        "think_end: expected auto, null (all text is judged) or a text, came ' '",
        "chat_template_args: they need a chat template; set apply_chat_template=true as well",
        "chat_template_args: tokenize is set by evomerge itself; leave it out",
    ]
