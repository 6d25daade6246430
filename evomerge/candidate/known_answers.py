"""Answers of a known candidate: as a run's first worker gave them, and how another worker's differ."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from evomerge.errors import InputError
from evomerge.evaluation import Response
from evomerge.lease import create

__all__ = ["ANSWERS", "Difference", "KnownAnswers"]

ANSWERS = "known_answers.json"  # in a run's folder
# Differences of this size, relative to log-likelihoods, are not the rounding of another processor.
_ROUNDING = 0.05
# With a tolerance: at least this share of generated answers must be the same, as near ties may go either way.
_SAME_TEXTS = 0.5


@dataclass(frozen=True)
class Difference:
    """How the answers of a worker differ from the first worker's.

    Attributes:
        weights: Whether the merged weights differ.
        items: Number of items whose answers differ.
        asked: Number of items that both were asked.
        largest: The largest difference of a log-likelihood, divided by the log-likelihood where that is above 1;
            infinite where one of the two has other numbers of them.
        texts: Number of items that got another generated answer.
        generated: Number of items that texts are generated for.
        example: The item that differs most, in words.
    """

    weights: bool
    items: int
    asked: int
    largest: float
    texts: int
    generated: int
    example: str

    def within(self, tolerance: float) -> bool:
        """Whether it can be overlooked.

        With a tolerance of 0 all answers have to be equal, to the last bit, and so has every weight. Otherwise
        log-likelihoods may differ by so much, and generated answers in half of the items.
        """
        if tolerance == 0.0:
            return not self.weights and not self.items
        return self.largest <= tolerance and self.texts <= (1.0 - _SAME_TEXTS) * self.generated

    @property
    def is_rounding(self) -> bool:
        """Whether another order of sums could explain it."""
        return self.largest <= _ROUNDING and self.texts <= (1.0 - _SAME_TEXTS) * self.generated

    def describe(self) -> str:
        """The size of all differences, in words that follow "its answers"."""
        merged = "after other merged weights" if self.weights else "after equal merged weights"
        if not self.items:
            return f"{merged}, are equal"
        parts = [f"{merged}, differ in {self.items} of {self.asked} items"]
        if self.largest:
            parts.append(f"log-likelihoods by up to {self.largest:.2g} of their size")
        if self.texts:
            parts.append(f"{self.texts} of {self.generated} generated answers")
        return f"{', '.join(parts)} ({self.example})"


@dataclass(frozen=True)
class KnownAnswers:
    """The answers of one candidate to a few items, and the circumstances that they came about in.

    Attributes:
        recipe: The candidate's digest.
        weights: Checksum of the merged weights in the model.
        responses: Its answers, as JSON objects.
        circumstances: Device, number type, threads and versions: what may be why other answers differ.
    """

    recipe: str
    weights: str
    responses: tuple[Mapping[str, Any], ...]
    circumstances: Mapping[str, Any]

    @classmethod
    def of(cls, recipe: str, weights: str, responses: Sequence[Response], circumstances: Mapping[str, Any]) -> Self:
        """Answers as a worker gave them, in the form that a file gives them back in."""
        return cls(recipe, weights, *json.loads(json.dumps([[r.to_json() for r in responses], dict(circumstances)])))

    def leave(self, path: Path) -> bool:
        """Writes the file; False where another worker was faster."""
        return create(path, json.dumps(vars(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Reads the file; None where there is none.

        Raises:
            InputError: If it holds something else.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            found = cls(data["recipe"], data["weights"], tuple(data["responses"]), dict(data["circumstances"]))
            _ = [Response.from_json(response) for response in found.responses]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(
                f"{path} holds no answers of a known candidate ({type(error).__name__}: {error}); remove it, and the "
                "next worker that starts makes it again"
            ) from error
        return found

    @property
    def items(self) -> dict[str, tuple[str, ...]]:
        """The items that were asked, by task."""
        found: dict[str, tuple[str, ...]] = {}
        for response in self.responses:
            found[response["task"]] = (*found.get(response["task"], ()), response["item"])
        return found

    def difference(self, other: KnownAnswers) -> Difference:
        """How another worker's answers of the same candidate to the same items differ from these."""
        pairs = list(zip(self.responses, other.responses, strict=True))
        unlike = [(mine, theirs) for mine, theirs in pairs if _text(mine) != _text(theirs)]
        sizes = [_relative(mine, theirs) for mine, theirs in unlike]
        texts = [mine for mine, theirs in unlike if mine.get("texts") != theirs.get("texts")]
        example = ""
        if unlike:
            example = _words(*unlike[max(range(len(sizes)), key=sizes.__getitem__)])
        return Difference(
            weights=self.weights != other.weights,
            items=len(unlike),
            asked=len(pairs),
            largest=max(sizes, default=0.0),
            texts=len(texts),
            generated=sum("texts" in mine for mine in self.responses),
            example=example,
        )

    def unlike_circumstances(self, others: Mapping[str, Any]) -> list[str]:
        """Circumstances of another worker that are not these, in words."""
        here, there = dict(_flat(others)), dict(_flat(self.circumstances))
        names = [name for name in {**there, **here} if here.get(name) != there.get(name)]
        return [f"{name} {here.get(name)} instead of {there.get(name, 'one that was not noted')}" for name in names]


def _text(response: Mapping[str, Any]) -> str:
    return json.dumps(response, sort_keys=True)


def _relative(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> float:
    """The largest difference of two items' log-likelihoods."""
    ours, others = mine.get("logprobs", ()), theirs.get("logprobs", ())
    if len(ours) != len(others):
        return math.inf
    sizes = [abs(a - b) / max(1.0, abs(a)) for a, b in zip(ours, others, strict=True)]
    return math.inf if any(math.isnan(size) for size in sizes) else max(sizes, default=0.0)


def _words(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    where = f"item {mine['item']} of {mine['task']}: "
    if mine.get("logprobs") != theirs.get("logprobs"):
        pairs = list(zip(mine.get("logprobs", ()), theirs.get("logprobs", ()), strict=False))
        a, b = max(pairs, key=lambda pair: abs(pair[0] - pair[1]), default=(None, None))
        return f"{where}{b!r} instead of {a!r}"
    field = next(name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name))
    return f"{where}{field} {_short(theirs.get(field))} instead of {_short(mine.get(field))}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((inner if name == "versions" else f"{name} {inner}", one) for inner, one in _flat(value))
        else:
            yield name, value
