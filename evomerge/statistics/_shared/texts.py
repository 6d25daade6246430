"""Calibration texts as tokens: what statistics are computed on."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from evomerge.errors import InputError
from evomerge.fitness.inference.encoding import Encoder
from evomerge.texts import read_text

_FORMS = (("text",), ("prompt", "answer"), ("messages",))


@dataclass(frozen=True, eq=False)
class Passage:
    """One sequence.

    Attributes:
        ids: Token ids, ``(length,)`` int32.
        scored: Which tokens the loss is taken on, ``(length,)`` bool; never the first, which nothing predicts.
    """

    ids: np.ndarray
    scored: np.ndarray


@dataclass(frozen=True, eq=False)
class Calibration:
    """Texts that a statistic is computed on, in order.

    Attributes:
        passages: The sequences; there are no pads, as each goes through the model alone.
        tokens: Most tokens of a sequence; longer texts were cut.
        cut: Number of texts that were.
    """

    passages: tuple[Passage, ...]
    tokens: int
    cut: int = 0

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of all token ids and of which are scored, in order."""
        found = hashlib.sha256()
        for passage in self.passages:
            found.update(json.dumps(len(passage.ids)).encode())
            found.update(passage.ids.astype("<i4").tobytes() + passage.scored.astype(np.uint8).tobytes())
        return found.hexdigest()

    @classmethod
    def of_texts(
        cls, texts: Sequence[Mapping[str, Any]], encoder: Encoder, *, tokens: int = 512, names: Sequence[str] = ()
    ) -> Self:
        """Tokenises texts by the rules that prompts are tokenised by when models are scored.

        Args:
            texts: Mappings with ``text``; with ``prompt`` and ``answer``, whose loss is taken on the answer alone; or
                with ``messages`` of a chat (``role`` and ``content``), the last of which is the answer.
            encoder: Of the model.
            tokens: Most tokens of a sequence. Of a text the first are kept, of a prompt with its answer the last.
            names: What each text is called in messages; by default ``text 1`` and so on.

        Raises:
            InputError: With everything that is wrong with the texts.
        """
        passages: list[Passage] = []
        problems: list[str] = []
        cut = 0
        for index, text in enumerate(texts):
            try:
                passage = _passage(text, encoder)
            except InputError as error:
                name = names[index] if names else f"text {index + 1}"
                problems += [f"{name}: {problem}" for problem in error.problems]
                continue
            cut += len(passage.ids) > tokens
            passages.append(_cut(passage, tokens, end="text" not in text))
        if problems:
            raise InputError(problems)
        return cls(tuple(passages), tokens, cut)

    @classmethod
    def read(cls, files: Sequence[Path], encoder: Encoder, *, tokens: int = 512, sequences: int | None = None) -> Self:
        """Reads JSONL files.

        Args:
            files: The files; see :meth:`of_texts` for what their lines are.
            encoder: Of the model.
            tokens: Most tokens of a sequence.
            sequences: Most sequences, from the first line on; None takes all.

        Raises:
            InputError: With everything that is wrong with the files.
        """
        found = read_lines(files)
        chosen = found[:sequences]
        texts, names = [text for text, _ in chosen], [name for _, name in chosen]
        return cls.of_texts(texts, encoder, tokens=tokens, names=names)


def read_lines(files: Sequence[Path]) -> list[tuple[Mapping[str, Any], str]]:
    """The objects of JSONL files, each with the name of its place.

    Raises:
        InputError: If a file cannot be read, has no texts, or a line is no such object; all problems.
    """
    found: list[tuple[Mapping[str, Any], str]] = []
    problems: list[str] = []
    for path in files:
        try:
            lines = read_text(path).split("\n")
        except (OSError, ValueError) as error:
            problems.append(f"{str(path)!r} cannot be read: {error}")
            continue
        before = len(found) + len(problems)
        for number, line in enumerate(lines, start=1):
            if line.strip():
                name = f"{path}, line {number}"
                data = _parsed(line)
                if problem := _problem(data):
                    problems.append(f"{name}: {problem}")
                else:
                    found.append((data, name))
        if len(found) + len(problems) == before:
            problems.append(f"{str(path)!r} has no texts; expected a JSON object on each line")
    if problems:
        raise InputError(problems)
    return found


def parts_of_text(text: Mapping[str, Any]) -> tuple[str, ...]:
    """All that a model reads of a calibration text, without a template: prompt and answer, messages, or the text."""
    if "messages" in text:
        return tuple(str(message["content"]) for message in text["messages"])
    return (str(text["text"]),) if "text" in text else (str(text["prompt"]), str(text["answer"]))


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _problem(data: Any) -> str | None:
    """The reason why something is no calibration text, or None."""
    if not isinstance(data, dict):
        return 'expected a JSON object such as {"text": "..."} or {"prompt": "...", "answer": "..."}'
    forms = [form for form in _FORMS if all(name in data for name in form)]
    if len(forms) != 1:
        keys = ", ".join(map(str, data)) or "none"
        return f"expected text, or prompt and answer, or messages, and one of these alone; its keys are {keys}"
    if forms[0] == ("messages",):
        return _chat_problem(data["messages"])
    wrong = [name for name in forms[0] if not isinstance(data[name], str) or (name != "prompt" and not data[name])]
    return f"expected {wrong[0]} to be a text that is not empty; it is {data[wrong[0]]!r}" if wrong else None


def _chat_problem(messages: Any) -> str | None:
    whole = isinstance(messages, list) and all(
        isinstance(one, dict) and isinstance(one.get("role"), str) and isinstance(one.get("content"), str)
        for one in messages
    )
    if not whole or len(messages) < 2 or messages[-1]["role"] != "assistant" or not messages[-1]["content"]:
        return "expected messages to be objects with role and content, the last one what the assistant answers"
    return None


def _passage(text: Mapping[str, Any], encoder: Encoder) -> Passage:
    if problem := _problem(text):
        raise InputError(problem)
    if "text" in text:
        ids = np.asarray(encoder.encode(text["text"]), dtype=np.int32)
        if len(ids) < 2:
            raise InputError(f"{text['text']!r} has {len(ids)} tokens; expected two at least, as one predicts the next")
        scored = np.ones(len(ids), dtype=bool)
        scored[0] = False
    else:
        prompt, answer = _pair(text, encoder)
        asked = encoder.continuation(prompt, answer)
        ids = asked.tokens
        scored = np.arange(len(ids)) >= len(ids) - asked.scored
    if encoder.rows is not None and ids.max() >= encoder.rows:
        raise InputError(
            f"token {int(ids.max())} is beyond the model's embedding of {encoder.rows} rows; take the tokenizer that "
            "belongs to the model"
        )
    return Passage(ids, scored)


def _pair(text: Mapping[str, Any], encoder: Encoder) -> tuple[str, str]:
    if "messages" not in text:
        return text["prompt"], text["answer"]
    if not getattr(encoder.tokenizer, "chat_template", None):
        raise InputError("it is a chat, but the tokenizer has no chat template; give prompt and answer instead")
    return encoder.chat(list(text["messages"][:-1])), text["messages"][-1]["content"]


def _cut(passage: Passage, tokens: int, *, end: bool) -> Passage:
    """At most so many tokens: the last ones, but of an answer that alone is longer the first, and what precedes it."""
    length = len(passage.ids)
    if length <= tokens:
        return passage
    start = min(length - tokens, int(np.flatnonzero(passage.scored)[0]) - 1) if end else 0
    scored = passage.scored[start : start + tokens].copy()
    scored[0] = False
    return Passage(passage.ids[start : start + tokens], scored)
