"""The lines of a run's records: an evaluation with how it came about, or what a searcher was told, or asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evomerge.evaluation import Ask, Evaluation, JsonText, Provenance, ToldValues, compact
from evomerge.store.files import read_lines
from evomerge.store.recipe_texts import RecipeTexts
from evomerge.store.turns import Turn

_RECIPE = ',"recipe":{'  # cannot stand inside a JSON text before the recipe: there its quotes would be escaped


@dataclass(frozen=True, slots=True)
class Record:
    """An evaluation and how it came about."""

    evaluation: Evaluation
    provenance: Provenance


def evaluation_line(evaluation: Evaluation) -> str:
    """The line of ``evaluations.jsonl``; the recipe comes last."""
    return f'{compact(evaluation.to_json())[:-1]},"recipe":{JsonText.of(evaluation.recipe).text}}}\n'


def record_line(record: Record) -> str:
    """The line of a record; the recipe comes last, before a brace, so that a reader can leave it unparsed."""
    head = {"evaluation": record.evaluation.to_json(), "provenance": record.provenance.to_json()}
    return f'{compact(head)[:-1]},"recipe":{JsonText.of(record.evaluation.recipe).text}}}\n'


@dataclass(frozen=True)
class Note:
    """A line about a searcher.

    Attributes:
        told: What it was told of evaluations.
        asked: What it was asked for, where the order matters.
    """

    told: Mapping[Ask, ToldValues]
    asked: tuple[Turn, ...] = ()


def note_line(note: Note) -> str:
    """The line that says what a searcher was told, or asked."""
    asked = [{**turn.ask.to_json(), "digest": turn.digest} for turn in note.asked]
    told = [{**ask.to_json(), **values.to_json()} for ask, values in note.told.items()]
    return compact({"told": told, **({"asked": asked} if asked else {})}) + "\n"


def read_line(line: str, stored: Callable[[int, int], JsonText] | None = None) -> Record | Note:
    """Reads what :func:`record_line` or :func:`note_line` wrote.

    Args:
        line: The line, without its end.
        stored: Makes the recipe of its first byte in the line and its length; None to hold it as it is.
    """
    head, separator, recipe = line.partition(_RECIPE)
    data = json.loads(f"{head}}}" if separator else head)
    if "told" in data:
        told = {Ask.from_json(one): ToldValues.from_json(one) for one in data["told"]}
        return Note(told, tuple(Turn(Ask.from_json(one), str(one["digest"])) for one in data.get("asked", ())))
    text = JsonText(f"{{{recipe[:-1]}") if separator else JsonText.of(data["recipe"])
    if separator and stored is not None:
        text = stored(len(head.encode()) + len(_RECIPE) - 1, len(recipe.encode()))
    return checked(Record(Evaluation.from_json(data["evaluation"], text), Provenance.from_json(data["provenance"])))


def read_records(folder: Path) -> Iterator[Record | Note]:
    """The lines of all writers of a run, those of each in their order."""
    for path in sorted(folder.glob("*.jsonl")):
        yield from read_lines(path, _Reader(path))


class _Reader:
    """Reads the lines of a file, one after the other, and leaves recipes where they are."""

    def __init__(self, path: Path) -> None:
        self._texts = RecipeTexts(path)
        self._place = 0  # of the next line

    def __call__(self, line: str) -> Record | Note:
        place = self._place
        self._place += len(line.encode()) + 1
        return read_line(line, lambda start, length: self._texts.at(place + start, length))


def checked(record: Record) -> Record:
    """The record, if what readers look up and compute with has the types that they expect.

    Raises:
        TypeError: If not.
    """
    evaluation, ref = record.evaluation, record.provenance.responses
    texts: dict[str, Any] = {
        "digest": evaluation.digest,
        "name": evaluation.name or "",
        "item_set": evaluation.item_set,
    }
    texts |= {"variant": evaluation.variant, "file": ref.file if ref is not None else ""}
    for field, value in texts.items():
        if not isinstance(value, str):
            raise TypeError(f"{field!r} is {value!r}, expected a text")
    numbers: Mapping[str, Any] = evaluation.metrics
    for key, value in numbers.items():
        if not isinstance(value, int | float):
            raise TypeError(f"the metric {key!r} is {value!r}, expected a number")
    return record
