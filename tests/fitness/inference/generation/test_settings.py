"""Generation settings are honoured as lm-eval does, or refused by name with what to set instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from evomerge.fitness.inference.generation.settings import (
    asked_tokens,
    model_arguments,
    most_tokens,
    problems,
    reads_prompt,
    stop_texts,
)

REFUSED = {
    "num_beams": (3, "1"),
    "num_return_sequences": (2, "1"),
    "constraints": ([1], "null"),
    "force_words_ids": ([[5]], "null"),
    "penalty_alpha": (0.6, "0"),
    "dola_layers": ("low", "null"),
    "prompt_lookup_num_tokens": (3, "null"),
    "assistant_early_exit": (1, "null"),
    "use_mtp": (True, "false"),
    "is_assistant": (True, "false"),
    "guidance_scale": (1.5, "1"),
    "watermarking_config": ({"bias": 2.0}, "null"),
    "token_healing": (True, "false"),
    "stop_strings": (["x"], "null"),
    "max_time": (1.0, "null"),
    "min_length": (5, "0"),
    "forced_bos_token_id": (7, "null"),
    "encoder_repetition_penalty": (1.2, "1"),
    "encoder_no_repeat_ngram_size": (2, "0"),
    "cache_implementation": ("quantized", "null"),
}
# What transformers' own default, an empty value and sampling settings of a checkpoint look like.
HARMLESS: tuple[Mapping[str, Any], ...] = (
    {"num_beams": 1, "num_return_sequences": 1, "penalty_alpha": 0.0, "min_length": 0, "guidance_scale": 1.0},
    {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.8, "repetition_penalty": 1.05},
    {"max_length": 4096, "bos_token_id": 1, "eos_token_id": [2, 7], "pad_token_id": 0, "early_stopping": True},
    {"cache_implementation": "hybrid", "use_cache": False, "stop_strings": None, "num_assistant_tokens": 20},
)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_settings_that_are_not_honoured_are_refused_by_name_and_can_be_switched_off(name: str) -> None:
    value, neutral = REFUSED[name]
    (by_checkpoint,) = problems({}, {name: value})
    assert by_checkpoint.startswith(f"generation_config.json asks for {name}={value}: ")
    assert by_checkpoint.endswith(f"; set fitness.gen_kwargs={{{name}: {neutral}}}")
    (by_task,) = problems({name: value}, {})
    assert by_task.startswith(f"its generation arguments ask for {name}={value}: ")
    switched_off = {"null": None, "false": False}.get(neutral, neutral)
    assert problems({name: int(switched_off) if isinstance(switched_off, str) else switched_off}, {name: value}) == []


def test_all_problems_are_told_at_once() -> None:
    assert len(problems({"num_beams": 2, "nmu_beams": 2}, {"stop_strings": ["x"], "min_length": 3})) == 4


@pytest.mark.parametrize("checkpoint", HARMLESS)
def test_settings_of_real_checkpoints_are_accepted(checkpoint: Mapping[str, Any]) -> None:
    assert problems({"until": ["\n"], "do_sample": False, "temperature": 0.0, "max_gen_toks": 8}, checkpoint, 100) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"do_sample": True}, "it samples; only greedy generation is scored"),
        ({"temperature": 0.5}, "it samples; only greedy generation is scored"),
        ({"temperature": "hot"}, "temperature='hot': expected a number"),
        ({"max_gen_tokens": 5}, "'max_gen_tokens' is known neither to transformers nor to lm-eval; did you mean"),
        ({"stopping_criteria": []}, "'stopping_criteria' is known neither"),
        ({"max_length": 30}, "max_length=30: it counts padding"),
        (
            {"num_beams": 0},
            "num_beams=0: it searches with beams; only greedy generation is scored; set fitness.gen_kwargs",
        ),
        ({"max_gen_toks": 0}, "max_gen_toks=0: expected a whole number of at least 1"),
        ({"max_gen_toks": "many"}, "max_gen_toks='many': expected a whole number"),
        ({"max_new_tokens": 2.5}, "max_new_tokens=2.5: expected a whole number"),
        ({"max_tokens": True}, "max_tokens=True: expected a whole number"),
        ({"until": ""}, "until=['']: expected texts that are not empty"),
        ({"until": ["\n", ""]}, "expected texts that are not empty"),
        ({"until": [5]}, "until=[5]: expected texts"),
        ({"until": 5}, "until=[5]: expected texts"),
        ({"suppress_tokens": [3, 100]}, "suppress_tokens names token 100, but the model has 100 rows"),
        ({"bad_words_ids": [[3], [4, 200]]}, "bad_words_ids names token 200"),
        ({"sequence_bias": [[[3, 300], -5]]}, "sequence_bias names token 300"),
        ({"forced_eos_token_id": 100}, "forced_eos_token_id names token 100"),
    ],
)
def test_arguments_of_which_nothing_can_be_made_are_refused(arguments: Mapping[str, Any], said: str) -> None:
    (found,) = problems(arguments, {}, 100)
    assert said in found


@pytest.mark.parametrize(
    "arguments",
    [
        {"do_sample": False, "temperature": 0.7},  # as in lm-eval, which then sets no temperature
        {"temperature": None, "until": None, "max_gen_toks": None},
        {"sequence_bias": [[[3, 99], 500]], "suppress_tokens": None, "forced_eos_token_id": [2, 99]},
        {"max_gen_toks": 5.0, "until": "x"},
    ],
)
def test_other_arguments_are_accepted(arguments: Mapping[str, Any]) -> None:
    assert problems(arguments, {}, 100) == []


def test_limits_and_stop_texts_are_lm_evals() -> None:
    assert asked_tokens({}) == 256
    assert asked_tokens({"max_tokens": 3, "max_gen_toks": 5, "max_new_tokens": 4}) == 5
    assert asked_tokens({"max_gen_toks": None, "max_completion_tokens": 6}) == 6
    assert most_tokens({"max_gen_toks": 5}, {"max_new_tokens": 9}) == 9
    assert most_tokens({"max_new_tokens": 5}, {"max_length": 9}) == 5
    assert stop_texts({}) == ()
    assert stop_texts({"until": "x"}) == ("x",)
    assert stop_texts({"until": ["x", "y"]}) == ("x", "y")


def test_generation_is_given_what_greedy_generation_heeds() -> None:
    asked = {"until": "x", "max_gen_toks": 5, "do_sample": False, "temperature": 0, "top_p": 0.5, "use_cache": True}
    assert model_arguments({**asked, "repetition_penalty": 1.5, "num_beams": 1}) == {
        "repetition_penalty": 1.5,
        "num_beams": 1,
    }


@pytest.mark.parametrize(
    ("settings", "reads"),
    [
        ({}, False),
        ({"repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "bad_words_ids": None}, False),
        ({"suppress_tokens": [3], "min_new_tokens": 4, "eos_token_id": [2]}, False),
        ({"repetition_penalty": 1.1}, True),
        ({"no_repeat_ngram_size": 2}, True),
        ({"bad_words_ids": [[3]]}, True),
        ({"sequence_bias": [[[3], 1.0]]}, True),
    ],
)
def test_settings_that_read_prompts_are_known(settings: Mapping[str, Any], reads: bool) -> None:
    assert reads_prompt(settings) == reads
