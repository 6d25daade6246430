"""Generation settings of a checkpoint and of a task, by the rules of lm-eval's Hugging Face models.

lm-eval calls ``model.generate`` with a task's arguments; whatever they leave open, the checkpoint's
``generation_config.json`` decides. Settings that keep generation greedy, one token after the other, are honoured and
give lm-eval's texts; those that do not, or whose effect there depends on the batch, are refused by name.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from transformers import GenerationConfig

from evomerge.errors import suggest
from evomerge.fitness.inference.requests import Prompt

DEFAULT_MAX_NEW = 256
CHECKPOINT = "generation_config.json"

_MAX_NEW_NAMES = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
# Without effect on greedy generation.
_SAMPLING_NAMES = (
    "do_sample", "temperature", "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff",
)  # fmt: skip
_LM_EVAL_NAMES = ("until", *_MAX_NEW_NAMES)
# Settings that look at the tokens of a prompt, padding between them included.
_PROMPT_READERS: Mapping[str, float | None] = {
    "repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "bad_words_ids": None,
    "sequence_bias": None,
}
# Settings that hold token ids.
_TOKEN_LISTS = ("bad_words_ids", "sequence_bias", "suppress_tokens", "begin_suppress_tokens", "forced_eos_token_id")

# Passed to every generation. Where keys and values lie, in which portions a prompt is read and what is returned beside
# the tokens makes no difference to a text; logits that are not numbers are to be seen, not to be replaced.
NEUTRAL: Mapping[str, Any] = {
    "do_sample": False,
    "use_cache": True,
    "max_new_tokens": None,  # the limit is given as ``max_length``
    "cache_implementation": None,
    "prefill_chunk_size": None,
    "remove_invalid_values": False,
    "return_dict_in_generate": False,
    "output_attentions": False,
    "output_hidden_states": False,
    "output_scores": False,
    "output_logits": False,
}


@dataclass(frozen=True)
class _Refusal:
    """A setting that is not honoured.

    Attributes:
        reason: Why not.
        neutral: Value that switches it off.
        also: Other values that do.
        only: Tells values that are refused, where not all others are.
    """

    reason: str
    neutral: Any = None
    also: tuple[Any, ...] = ()
    only: Callable[[Any], bool] = field(default=lambda value: True)

    def refuses(self, value: Any) -> bool:
        """True for a value that is not honoured."""
        return value is not None and value != self.neutral and value not in self.also and self.only(value)


_GREEDY = "only greedy generation is scored"
_ASSISTED = "only plain greedy generation is scored, without drafts"
_BATCH = "its effect in lm-eval depends on the batch"
_REFUSED: Mapping[str, _Refusal] = {
    "num_beams": _Refusal(f"it searches with beams; {_GREEDY}", 1),  # so does 0, and fails
    "num_return_sequences": _Refusal("one answer is scored per prompt", 1, (0,)),
    "constraints": _Refusal(f"it searches with beams; {_GREEDY}"),
    "force_words_ids": _Refusal(f"it searches with beams; {_GREEDY}"),
    "penalty_alpha": _Refusal(f"it is contrastive search; {_GREEDY}", 0),
    "dola_layers": _Refusal(f"it contrasts layers; {_GREEDY}"),
    "prompt_lookup_num_tokens": _Refusal(_ASSISTED),
    "assistant_early_exit": _Refusal(_ASSISTED),
    "use_mtp": _Refusal(_ASSISTED, False),
    "is_assistant": _Refusal(_ASSISTED, False),
    "guidance_scale": _Refusal("it asks the model twice per token", 1),
    "watermarking_config": _Refusal("it changes texts to mark them"),
    "token_healing": _Refusal("lm-eval gives it no tokenizer", False),
    "stop_strings": _Refusal("lm-eval gives it no tokenizer; name stop texts in until"),
    "max_time": _Refusal("answers would depend on the machine's speed"),
    "min_length": _Refusal(f"it counts padding, so {_BATCH}; min_new_tokens does not", 0),
    "forced_bos_token_id": _Refusal(f"it acts where all prompts are one token long, so {_BATCH}"),
    "encoder_repetition_penalty": _Refusal(f"it counts padding, so {_BATCH}", 1),
    "encoder_no_repeat_ngram_size": _Refusal(f"it counts padding, so {_BATCH}", 0),
    "cache_implementation": _Refusal("rounded keys and values change texts", only=lambda value: value == "quantized"),
}
# Without effect in a checkpoint, where lm-eval overrides it.
_REFUSED_ARGUMENTS: Mapping[str, _Refusal] = {
    "max_length": _Refusal(f"it counts padding, so {_BATCH}; max_gen_toks does not")
}


def stop_texts(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """Texts at which a generation ends."""
    stop = arguments.get("until")
    return () if stop is None else tuple(stop) if isinstance(stop, list | tuple) else (stop,)


def token_limits(arguments: Mapping[str, Any]) -> Mapping[str, int]:
    """Limits of new tokens that a task sets; lm-eval knows four names for it, the first one counts."""
    return {name: int(arguments[name]) for name in _MAX_NEW_NAMES if arguments.get(name) is not None}


def asked_tokens(arguments: Mapping[str, Any]) -> int:
    """Most tokens that a task asks for."""
    return next(iter(token_limits(arguments).values()), DEFAULT_MAX_NEW)


def most_tokens(arguments: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> int:
    """Most tokens that are generated: in lm-eval, a checkpoint's own limit counts before the task's."""
    own = checkpoint.get("max_new_tokens")
    return asked_tokens(arguments) if own is None else int(own)


def model_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A task's arguments for ``model.generate``, without lm-eval's own and those that greedy generation ignores."""
    left_out = {*_LM_EVAL_NAMES, *_SAMPLING_NAMES, *NEUTRAL, "pad_token_id"}
    return {name: value for name, value in arguments.items() if name not in left_out}


def reads_prompt(settings: Mapping[str, Any]) -> bool:
    """True where a logits processor reads the prompt, so that padding inside it would change the text."""
    return any(settings.get(name) not in (None, neutral) for name, neutral in _PROMPT_READERS.items())


# Settings without effect on which token is the most probable: of sampling, of ends, of what is stored, of beams and
# assistants, which are not there.
_SILENT_NAMES = frozenset(
    {
        *_SAMPLING_NAMES, *_LM_EVAL_NAMES, *NEUTRAL, "max_length", "max_cache_len", "cache_config", "early_stopping",
        "length_penalty", "renormalize_logits", "diversity_penalty", "num_beam_groups", "low_memory", "compile_config",
        "disable_compile", "continuous_batching_config", "bos_token_id", "eos_token_id", "pad_token_id",
        "decoder_start_token_id", "_from_model_config", "transformers_version", "num_assistant_tokens",
        "num_assistant_tokens_schedule", "assistant_confidence_threshold", "assistant_lookbehind", "target_lookbehind",
        "max_matching_ngram_size", "assistant_ensemble_weight", "speculation_type",
    }
)  # fmt: skip


def settings_of(model: Any, prompt: Prompt) -> Mapping[str, Any]:
    """The settings by which a model continues a prompt: the checkpoint's, and the task's over them."""
    return {**model.generation_config.to_dict(), **prompt.options}


def beyond_greedy(settings: Mapping[str, Any]) -> list[str]:
    """Names of settings for which an answer is more than a model's most probable tokens one after the other.

    Args:
        settings: Of the checkpoint and the task, without problems. Names that nobody knows are among the found.
    """
    neutral = {**_PROMPT_READERS, **{name: refusal.neutral for name, refusal in _REFUSED.items()}, "min_new_tokens": 0}
    return sorted(
        name
        for name, value in settings.items()
        if name not in _SILENT_NAMES and value not in (None, [], {}) and value != neutral.get(name)
    )


def problems(arguments: Mapping[str, Any], checkpoint: Mapping[str, Any], rows: int | None = None) -> list[str]:
    """Everything in generation settings that is not honoured, with what to set instead.

    Args:
        arguments: Of the task, in lm-eval's spelling.
        checkpoint: What the checkpoint sets.
        rows: Rows of the model's embedding; None where nobody knows.
    """
    found = _argument_problems(arguments)
    for name, refusal in {**_REFUSED, **_REFUSED_ARGUMENTS}.items():
        if name in arguments:
            if refusal.refuses(arguments[name]):
                found.append(_sentence("its generation arguments ask", name, arguments[name], refusal))
        elif name in _REFUSED and refusal.refuses(checkpoint.get(name)):
            found.append(_sentence(f"{CHECKPOINT} asks", name, checkpoint[name], refusal))
    settings = {**checkpoint, **arguments}
    for name in _TOKEN_LISTS:
        largest = max(_named_tokens(name, settings.get(name)), default=0)
        if rows is not None and largest >= rows:
            found.append(f"{name} names token {largest}, but the model has {rows} rows; {_remedy(name, 'null')}")
    return found


def _sentence(asker: str, name: str, value: Any, refusal: _Refusal) -> str:
    return f"{asker} for {name}={value}: {refusal.reason}; {_remedy(name, json.dumps(refusal.neutral))}"


@functools.cache
def _known_names() -> tuple[str, ...]:
    own = (name for name in vars(GenerationConfig()) if not name.startswith("_"))
    return tuple(sorted({*own, *_LM_EVAL_NAMES}))


def _remedy(name: str, value: str) -> str:
    return f"set fitness.gen_kwargs={{{name}: {value}}}"


def _argument_problems(arguments: Mapping[str, Any]) -> list[str]:
    """Arguments that nobody knows, that sample, or of which lm-eval could make nothing."""
    found = [
        f"generation argument {name!r} is known neither to transformers nor to lm-eval{suggest(name, _known_names())}"
        for name in arguments
        if name not in _known_names()
    ]
    for name in _MAX_NEW_NAMES:
        value = arguments.get(name)
        if value is not None and (not _is_number(value) or int(value) != value or value < 1):
            found.append(f"{name}={value!r}: expected a whole number of at least 1; {_remedy(name, 'N')}")
    texts = stop_texts(arguments)
    if any(not isinstance(text, str) or not text for text in texts):
        found.append(f"until={list(texts)!r}: expected texts that are not empty; {_remedy('until', '[TEXT]')}")
    heat = arguments.get("temperature") or 0
    if not _is_number(heat):
        found.append(f"temperature={heat!r}: expected a number; {_remedy('temperature', '0')}")
    elif arguments.get("do_sample") or (arguments.get("do_sample") is None and heat > 0):
        found.append(f"it samples; {_GREEDY}: set fitness.gen_kwargs={{do_sample: false, temperature: 0}}")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _named_tokens(name: str, value: Any) -> Iterator[int]:
    """Token ids in a setting: one, a list, or lists of them; a sequence bias also has numbers that are none."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, Mapping):  # from sequences to biases
        yield from _named_tokens(name, list(value))
    elif isinstance(value, list | tuple):
        for entry in value:
            pair = (
                name == "sequence_bias" and isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], list)
            )
            yield from _named_tokens(name, entry[0] if pair else entry)
