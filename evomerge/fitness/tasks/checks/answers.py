"""Checks the right answers of items: there is one, it is of a kind that lm-eval compares, and means what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evomerge.errors import suggest
from evomerge.fitness.tasks.checks.fields import Fields, Reading, first_line
from evomerge.fitness.tasks.checks.findings import Case, is_list, is_null, kind_of, null_field, shown

# Answers of the second kind are told only where most of a task's are like that: numbers are places more often.
READS_LIKE_ANOTHER = "the right answer of {items} is taken as a place, though it reads like another option"
NUMBER_LIKE_ANOTHER = "the right answer of {items}, a number, is taken as a place, though it reads like another option"

_TEXT_OR_PLACE = "give the text of an option, or its place counted from 0"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PART = "doc_to_target"


def check_choice(fields: Fields, case: Case, right: Reading, options: Sequence[str]) -> None:
    """Checks that the right answer of an item is one of its options.

    Args:
        fields: Reads documents.
        case: The item.
        right: Its right answer as read.
        options: Its options.
    """
    if is_missing(fields, case, right):
        return
    several = is_list(right.value)
    for entry in list(right.value) if several else [right.value]:
        if not _is_option(entry, options):
            detail = f"with {len(options)} options and the answer {shown(entry)}"
            remedy = _remedy(fields, entry, options)
            case.tell("the right answer of {items} is none of their options", detail, remedy=remedy)
            return
        if isinstance(entry, str) and (several or case.generated):
            remedy = "give places counted from 0" if several else "give its place, counted from 0"
            case.tell("the right answer of {items} is a text where lm-eval wants the place of an option",
                      f"with {shown(right.value)}", remedy=remedy)  # fmt: skip
            return
        _note_place(fields, case, right, entry, options)


def _is_option(entry: Any, options: Sequence[str]) -> bool:
    if isinstance(entry, str):
        return entry in options
    return isinstance(entry, int) and not isinstance(entry, bool) and 0 <= entry < len(options)


def _remedy(fields: Fields, entry: Any, options: Sequence[str]) -> str:
    name = fields.field(_PART) or "answer"
    if isinstance(entry, bool):
        return f'{_TEXT_OR_PLACE}, for example "{{{{{name} | int}}}}" where false is the first option'
    if isinstance(entry, Mapping):
        return _name_text(fields, entry)
    if isinstance(entry, float) or (isinstance(entry, str) and entry.strip().isdigit()):
        return f'{_TEXT_OR_PLACE} as a number, for example "{{{{{name} | int}}}}"'
    letter = entry.strip().upper() if isinstance(entry, str) else ""
    known = _LETTERS[: len(options)]
    if len(letter) == 1 and letter in known:
        return f"{_TEXT_OR_PLACE}, for example \"{{{{'{known}'.index({name})}}}}\""
    return _TEXT_OR_PLACE + (suggest(entry, options) if isinstance(entry, str) else "")


def _note_place(fields: Fields, case: Case, right: Reading, entry: Any, options: Sequence[str]) -> None:
    """Notes an answer that is a place and reads like another option."""
    if not isinstance(entry, int) or str(entry) not in options or options[entry] == str(entry):
        return
    text = right.printed is not None and right.texts  # in the data; lm-eval makes a number of it
    detail = (
        f"with the answer {entry} among {shown(options)}: place {entry}, counted from 0, is {shown(options[entry])}"
    )
    name = fields.field(_PART) or "answer"
    remedy = f"if the text is meant, let {name} be a text in the data and name it alone (doc_to_target: {name})"
    case.tell(READS_LIKE_ANOTHER if text else NUMBER_LIKE_ANOTHER, detail, remedy=remedy, fatal=False)


def check_generated(fields: Fields, case: Case, right: Reading, *, several: bool) -> None:
    """Checks the right answer that a generated text is compared with.

    Args:
        fields: Reads documents.
        case: The item.
        right: Its right answer as read.
        several: Whether lm-eval compares with each text of a list, which it settles by the first item.
    """
    if is_missing(fields, case, right):
        return
    value, kind = right.value, kind_of(right.value)
    odd = next((entry for entry in value if kind_of(entry)), None) if is_list(value) else None
    if isinstance(value, Mapping):
        case.tell(f"the right answer of {{items}} is {kind}", f"with {shown(value)}", remedy=_name_text(fields, value))
    elif is_list(value) and not several:
        remedy = "write a list for every item, or for none"
        case.tell("the right answer of {items} is a list, though that of the first item is not", f"with {shown(value)}",
                  remedy=remedy)  # fmt: skip
    elif odd is not None:
        remedy = "write answers as texts; no generated text equals it"
        case.tell(f"a right answer of {{items}} is {kind_of(odd)}, not a text", f"with {shown(value)}", remedy=remedy,
                  fatal=not isinstance(odd, int | float))  # fmt: skip
    else:
        _warn_of_text(fields, case, right)
        _warn_of_empty(case, right)


def _warn_of_text(fields: Fields, case: Case, right: Reading) -> None:
    """Notes right answers whose text is not the one in the data."""
    value = str(right.value)
    if right.holds and isinstance(right.value, str):
        alone = value.strip()[:1] in ("[", "{", "(")
        remedy = f"{_name_part(fields, case)}; if it is meant to be printed like that, write {{{{NAME | string}}}}"
        case.tell(f"the right answer of {{items}} prints {right.holds}, with brackets and quotes", f"as {shown(value)}",
                  remedy=remedy, fatal=alone and not case.lenient)  # fmt: skip
    elif isinstance(right.value, bool) or (value in ("True", "False") and not right.texts):
        remedy = f'write answers as texts, or "{{{{{fields.field(_PART) or "answer"} | lower}}}}"'
        case.tell("the right answer of {items} is true or false in the data", f"and compared as {shown(value)}",
                  remedy=remedy, fatal=False)  # fmt: skip
    elif right.dates or hasattr(right.value, "isoformat"):
        remedy = "declare the data so that dates stay texts"
        case.tell("the right answer of {items} is a date, not written as in the data", f"with {shown(value)}",
                  remedy=remedy, fatal=False)  # fmt: skip


def _warn_of_empty(case: Case, right: Reading) -> None:
    if not str(right.value).strip():
        remedy = "an empty text counts as right; give an answer, or leave these items out"
        case.tell("the right answer of {items} is empty", remedy=remedy, fatal=False)


def check_scored(fields: Fields, case: Case, right: Reading) -> None:
    """Checks the text whose likelihood is asked for.

    Args:
        fields: Reads documents.
        case: The item.
        right: The text as read.
    """
    if is_missing(fields, case, right):
        return
    value, kind = right.value, kind_of(right.value)
    if kind and (isinstance(value, bool) or not isinstance(value, int | float)):
        remedy = _name_text(fields, value) if isinstance(value, Mapping) or is_list(value) else "give a text"
        case.tell(f"the right answer of {{items}} is {kind}, not a text", f"with {shown(value)}", remedy=remedy)
    else:
        _warn_of_text(fields, case, right)


def is_missing(fields: Fields, case: Case, right: Reading) -> bool:
    """Whether an item has no right answer; tells so."""
    if right.error is not None:
        case.tell("the right answer of {items} cannot be read", f"with {first_line(right.error)}")
    elif right.nulls or is_null(right.value):
        remedy = "give one, or leave these items out"
        null = null_field(fields.names(_PART), case.doc)
        case.tell("{items} have no answer (null)", null, remedy=remedy)
    elif is_list(right.value) and (len(right.value) == 0 or any(is_null(entry) for entry in right.value)):
        remedy = "give one, or leave these items out"
        case.tell("{items} have no answer (an empty list, or one with null)", f"with {shown(right.value)}",
                  remedy=remedy)  # fmt: skip
    else:
        return False
    return True


def _name_part(fields: Fields, case: Case) -> str:
    """The remedy for a template that prints a whole list or object of the document."""
    name = fields.field(_PART)
    value = case.doc.get(name) if name and isinstance(case.doc, Mapping) else None
    return _name_text(fields, value) if is_list(value) or isinstance(value, Mapping) else "name the text in it"


def _name_text(fields: Fields, value: Any) -> str:
    name = fields.field(_PART) or "answer"
    inner = f".{next(iter(value), 'text')}" if isinstance(value, Mapping) else "[0]"
    return f'name the text in it, for example "{{{{{name}{inner}}}}}"'
