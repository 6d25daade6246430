"""Encodes texts as token requests, by the rules of lm-eval's Hugging Face models.

The boundary between context and continuation, the token before an empty context and the truncation from the left are
what published scores were made with, so they are kept to the letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2
import numpy as np
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from evomerge.errors import InputError
from evomerge.fitness.inference.generation import settings as generation_settings
from evomerge.fitness.inference.requests import Continuation, Prompt, Request

DEFAULT_LENGTH = 2048
_LIMITS = ("n_positions", "max_position_embeddings", "n_ctx")
# Models that look positions up in a table; others compute them, or have none.
_TABLES = ("biogpt", "codegen", "ctrl", "gpt2", "gpt_bigcode", "gpt_neo", "gptj", "openai-gpt", "opt")
_UNLIMITED = 1_000_000_000_000_000_019_884_624_838_656  # what tokenizers say when nobody told them a limit


def context_length(config: Any, tokenizer: Any) -> int:
    """Longest sequence of a model, in tokens.

    Args:
        config: Configuration of the model, an object or a mapping, or ``None``.
        tokenizer: Its tokenizer, asked when the configuration is silent.

    Returns:
        The limit; 2048 when neither knows.
    """
    inner = field_of(config, "text_config") or config
    for name in _LIMITS:
        if (value := field_of(inner, name)) is not None:
            return int(value)
    limit = getattr(tokenizer, "model_max_length", None)
    return DEFAULT_LENGTH if limit is None or limit >= _UNLIMITED else int(limit)


def vocabulary_size(config: Any, tokenizer: Any) -> int:
    """Number of logits per position, from a model's configuration or else from its tokenizer."""
    rows = embedding_rows(config)
    return len(tokenizer) if rows is None else rows


def embedding_rows(config: Any) -> int | None:
    """Number of tokens that a model has an embedding of; ``None`` where its configuration does not say."""
    value = field_of(field_of(config, "text_config") or config, "vocab_size")
    return None if value is None else int(value)


def check_length(length: int | None, config: Any) -> None:
    """Refuses sequences that are longer than a model's table of positions.

    Args:
        length: Longest sequence that the user allows; ``None`` is the model's own limit.
        config: Configuration of the model, an object or a mapping, or ``None``.

    Raises:
        InputError: If the model has positions for fewer tokens.
    """
    limit = next((int(v) for name in _LIMITS if (v := field_of(config, name)) is not None), None)
    if length is not None and limit is not None and length > limit and field_of(config, "model_type") in _TABLES:
        raise InputError(
            f"max_length is {length}, but the model has positions for {limit} tokens; set fitness.max_length={limit}"
        )


def reads_ahead(config: Any) -> str | None:
    """A sentence about a model that reads texts in both directions, or ``None`` for one that does not.

    transformers and lm-eval take it for a causal language model, and it answers with the answer before its eyes.

    Args:
        config: Configuration of the model, an object or a mapping, or ``None``.
    """
    inner = field_of(config, "text_config") or config
    kind = field_of(inner, "model_type")
    if field_of(inner, "use_bidirectional_attention") is True:
        why = "use_bidirectional_attention is true in config.json"
    elif kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and field_of(inner, "is_decoder") is False:
        why = "is_decoder is not set in config.json"
    else:
        return None
    return (
        f"the model ({kind}) reads texts in both directions ({why}), so it sees the answers that it is scored on: "
        "its scores mean nothing unless config.json is wrong"
    )


def field_of(config: Any, name: str) -> Any:
    """A field of a configuration, be it an object or a mapping; ``None`` where there is none."""
    return config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)


class Encoder:
    """Turns the texts of a request into tokens.

    Args:
        tokenizer: A ``transformers`` tokenizer; it is not changed.
        max_length: Longest sequence of the model, in tokens.
        generation: What the checkpoint sets for generation.
        rows: Rows of the model's embedding; ``None`` where nobody knows.
        chat_arguments: Further arguments of the chat template.

    Attributes:
        calls: How often the tokenizer was asked to encode.
        cut: Number of requests truncated from the left because they were too long.

    Raises:
        InputError: If the tokenizer has neither a BOS nor an EOS token.
    """

    @classmethod
    def of_model(
        cls,
        tokenizer: Any,
        config: Any,
        generation: Mapping[str, Any] | None,
        max_length: int | None,
        chat_arguments: Mapping[str, Any] | None = None,
    ) -> Encoder:
        """An encoder for a model.

        Args:
            tokenizer: Its tokenizer.
            config: Its configuration, an object or a mapping; ``None`` leaves the tokenizer to say what it can.
            generation: What its checkpoint sets for generation.
            max_length: Longest sequence that the user allows; ``None`` is the model's own limit.
            chat_arguments: Further arguments of the chat template.

        Raises:
            InputError: If the model cannot see so much, or the tokenizer lacks a token.
        """
        check_length(max_length, config)
        length = max_length or context_length(config, tokenizer)
        rows = embedding_rows(config)
        return cls(tokenizer, length, generation=generation, rows=rows, chat_arguments=chat_arguments)

    def __init__(
        self,
        tokenizer: Any,
        max_length: int,
        *,
        generation: Mapping[str, Any] | None = None,
        rows: int | None = None,
        chat_arguments: Mapping[str, Any] | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.generation = generation or {}
        self.rows = rows
        self._chat_arguments = chat_arguments or {}
        self.calls = 0
        self.cut = 0
        prefix = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        if prefix is None:
            raise InputError("tokenizer: it names neither a bos_token nor an eos_token, and scoring needs one of them")
        self.prefix: int = int(prefix)
        self._prefix_text = tokenizer.decode(self.prefix)
        self._last: tuple[str, list[int]] = ("", [])

    def encode(self, text: str, *, special: bool | None = None) -> list[int]:
        """Tokens of a text; special tokens as the tokenizer adds them, unless the text already begins with one."""
        if special is None and self._prefix_text and text.startswith(self._prefix_text):
            special = False
        return self._tokens(text, special)

    def _tokens(self, text: str, special: bool | None) -> list[int]:
        self.calls += 1
        arguments = {} if special is None else {"add_special_tokens": special}
        return list(self.tokenizer.encode(text, **arguments))

    def continuation(self, context: str, text: str) -> Continuation:
        """A request for the log-likelihood of ``text`` after ``context``.

        Raises:
            InputError: If no token is left to score, or more than the model can see.
        """
        if context:
            before, after = self._pair(context, text)
        else:
            before, after = [self.prefix], self.encode(text, special=False)
            if after and after[0] == self.prefix:
                before, after = after[:1], after[1:]
        if not before:  # a context of blanks, all of them moved to the continuation
            before = [self.prefix]
        if not after:
            raise InputError(f"the continuation {text!r} has no token of its own; nothing can be scored")
        return self._window(before, after)

    def _pair(self, context: str, text: str) -> tuple[list[int], list[int]]:
        # Blanks at the end of the context belong to the first token of the continuation.
        stripped = context.rstrip()
        text, context = context[len(stripped) :] + text, stripped
        whole = self.encode(context + text)
        if self._last[0] != context or not context:
            self._last = (context, self.encode(context))
        before = self._last[1]
        return before, whole[len(before) :]

    def _window(self, before: list[int], after: list[int]) -> Continuation:
        if len(after) > self.max_length:
            raise InputError(
                f"a continuation of {len(after)} tokens does not fit into the model's {self.max_length}; "
                "shorten it or raise max_length"
            )
        self.cut += len(before) + len(after) > self.max_length + 1
        tokens = (before + after)[-(self.max_length + 1) :]
        return Continuation(np.asarray(tokens, dtype=np.int32), len(after))

    def rolling(self, text: str) -> tuple[Continuation, ...]:
        """Requests that score every token of a text once, in windows as long as the model allows.

        Raises:
            InputError: If the text has no tokens.
        """
        tokens = self.encode(text)
        if not tokens:
            raise InputError("the text has no tokens; nothing can be scored")
        sequence = [self.prefix, *tokens]
        windows = []
        done = 0
        while done < len(tokens):
            end = min(done + self.max_length, len(tokens))
            # sequence[i] is what token i is predicted from; a later window starts early enough to be full.
            start = max(0, end - self.max_length)
            windows.append(Continuation(np.asarray(sequence[start : end + 1], dtype=np.int32), end - done))
            done = end
        return tuple(windows)

    def prompt(self, context: str, arguments: Mapping[str, Any]) -> Prompt:
        """A request to continue ``context`` greedily.

        Args:
            context: The prompt.
            arguments: Generation arguments in lm-eval's spelling.

        Raises:
            InputError: With all generation settings that are not honoured; or if they leave no room for the prompt.
        """
        if wrong := generation_settings.problems(arguments, self.generation, self.rows):
            raise InputError(wrong)
        asked = generation_settings.asked_tokens(arguments)
        most = generation_settings.most_tokens(arguments, self.generation)
        room = self.max_length - asked
        if room <= 0:
            raise InputError(
                f"max_gen_toks={asked} leaves no room for a prompt in {self.max_length} tokens; "
                "set a smaller one with fitness.gen_kwargs={max_gen_toks: N}"
            )
        # Unlike for log-likelihoods, lm-eval looks for a BOS token only, never for the EOS token in its stead.
        bos = getattr(self.tokenizer, "bos_token", None)
        whole = self._tokens(context, False if bos and context.startswith(bos) else None)
        self.cut += len(whole) > room
        tokens = np.asarray(whole[-room:] or [self.prefix], dtype=np.int32)
        if most > asked and len(tokens) + most > self.max_length:
            raise InputError(
                f"{generation_settings.CHECKPOINT} sets max_new_tokens={most}, which counts instead of "
                f"max_gen_toks={asked}, as in lm-eval: with a prompt of {len(tokens)} tokens that is more than the "
                f"model's {self.max_length}; take it out there, or raise max_length"
            )
        stop = generation_settings.stop_texts(arguments)
        return Prompt(tokens, stop, most, generation_settings.model_arguments(arguments))

    def requests(self, kind: str, arguments: tuple[Any, ...]) -> tuple[Request, ...]:
        """Token requests for one of lm-eval's requests; a long text becomes several windows.

        Args:
            kind: lm-eval's type of the request.
            arguments: Its arguments.

        Raises:
            InputError: If it cannot be asked.
        """
        if kind == "loglikelihood":
            return (self.continuation(str(arguments[0]), str(arguments[1])),)
        if kind == "loglikelihood_rolling":
            return self.rolling(str(arguments[0]))
        return (self.prompt(str(arguments[0]), arguments[1]),)

    def chat(self, messages: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Text of a conversation by the chat template; without the system's turn if the template refuses one."""
        flags = {
            **self._chat_arguments,
            "tokenize": False,
            "add_generation_prompt": add_generation_prompt,
            "continue_final_message": not add_generation_prompt,
        }
        try:
            return str(self.tokenizer.apply_chat_template(messages, **flags))
        except jinja2.exceptions.TemplateError:
            rest = [message for message in messages if message["role"] != "system"]
            return str(self.tokenizer.apply_chat_template(rest, **flags))
