"""Checks the options of multiple-choice items: a list of texts that differ, none of them empty."""

from __future__ import annotations

import ast
import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from evomerge.fitness.tasks.checks.fields import Fields, Reading, first_line
from evomerge.fitness.tasks.checks.findings import Case, is_list, kind_of, null_field, shown

_SEPARATORS = (" | ", "|", "; ", ";", "\t", "\n", ", ", ",", " / ", "/")
_PART = "doc_to_choice"


def check_options(fields: Fields, case: Case) -> Sequence[str] | None:
    """Checks the options of one item.

    Args:
        fields: Reads documents.
        case: The item.

    Returns:
        The options, or ``None`` if they cannot be used.
    """
    reading = fields.read(_PART, case.doc)
    value = _listed(reading)
    if not is_list(value):
        _refuse_whole(fields, case, reading, value)
        return None
    options = list(value)
    if not options:
        case.tell("{items} have no options", remedy="give a list of texts")
        return None
    if (odd := next((option for option in options if _is_odd(fields, option)), None)) is not None or None in options:
        _refuse_option(fields, case, odd, options)
        return None
    _warn(case, reading, options)
    return options


def _listed(reading: Reading) -> Any:
    """The value of the options; a template's text where lm-eval could not read it as a list."""
    if isinstance(reading.error, ValueError | SyntaxError) and reading.printed is not None:
        return reading.printed
    return reading.value


def _refuse_whole(fields: Fields, case: Case, reading: Reading, value: Any) -> None:
    """Tells what stands where a list of options was expected."""
    name = fields.field(_PART) or "options"
    if reading.error is not None and not isinstance(value, str):
        case.tell("the options of {items} cannot be read", f"with {first_line(reading.error)}")
    elif reading.nulls or value is None:
        null = null_field(fields.names(_PART), case.doc)
        case.tell("the options of {items} are null", null, remedy="give a list of texts")
    elif isinstance(value, str):
        case.tell("the options of {items} are one text, not a list", f"with {shown(value)}", remedy=_split(name, value))
    elif isinstance(value, Mapping):
        inner = next((key for key, entry in value.items() if is_list(entry)), None)
        way = f"{name}.{inner}" if inner else f"{name}.values() | list"
        remedy = f'name the list, for example "{{{{{way}}}}}"'
        case.tell("the options of {items} are an object, not a list", f"with {shown(value)}", remedy=remedy)
    else:
        sentence = f"the options of {{items}} are {kind_of(value)}, not a list"
        case.tell(sentence, f"with {shown(value)}", remedy="give a list of texts")


def _split(name: str, text: str) -> str:
    if text.lstrip().startswith("["):
        with contextlib.suppress(ValueError, SyntaxError):
            if is_list(ast.literal_eval(text.strip())):
                return (
                    f'write a list in the data, without quotes around it, or "{{{{({name})}}}}" to have its text read'
                )
        return "write a list in the data, without quotes around it"
    separator = next((sign for sign in _SEPARATORS if sign in text.strip()), ", ")
    return f'write a list in the data, or split it: "{{{{{name}.split({separator!r})}}}}"'


def _is_odd(fields: Fields, option: Any) -> bool:
    unfilled = isinstance(option, str) and "{{" in option and fields.constant(_PART) is not None
    return bool(kind_of(option)) or option == "" or unfilled


def _refuse_option(fields: Fields, case: Case, option: Any, options: Sequence[Any]) -> None:
    kind, name = kind_of(option), fields.field(_PART) or "options"
    detail = f"with {shown(option)} among {shown(options)}"
    if isinstance(option, str) and option:
        remedy = 'write one template for all, for example "{{[first, second]}}"'
        case.tell("an option of {items} is a template, which lm-eval leaves as it is", detail, remedy=remedy)
    elif kind in ("", "null", "NaN"):
        remedy = "give it a text, or leave it out"
        case.tell(f"an option of {{items}} is {kind or 'empty'}", detail, remedy=remedy)
    else:
        remedy = "write options as texts"
        if fields.constant(_PART) is not None:
            remedy = "put quotes around it where it is declared"
        elif isinstance(option, int | float):
            remedy += f", or \"{{{{{name} | map('string') | list}}}}\""
        case.tell(f"an option of {{items}} is {kind}, not a text", detail, remedy=remedy)


def _warn(case: Case, reading: Reading, options: Sequence[str]) -> None:
    """Tells what lm-eval accepts and people should know of."""
    twice = [option for option, count in Counter(options).items() if count > 1]
    if twice:
        remedy = "only the first of equal options can be right; let them differ"
        case.tell("{items} have the same option twice", f"with {shown(twice[0])}", remedy=remedy, fatal=False)
    if blank := [option for option in options if not option.strip()]:
        remedy = "give it a text, or leave it out"
        case.tell(
            "an option of {items} is blank", f"with {blank[0]!r} among {shown(options)}", remedy=remedy, fatal=False
        )
    if len(options) == 1:
        remedy = "every model answers them right; give them another option"
        case.tell("{items} have a single option", f"with {shown(options[0])}", remedy=remedy, fatal=False)
    if reading.dates:
        remedy = "declare the data so that dates stay texts"
        case.tell("{items} have dates as options, not written as in the data", f"with {shown(options)}", remedy=remedy,
                  fatal=False)  # fmt: skip
