"""Reads ``key=value`` words of the command line.

Values follow Hydra's grammar, so ``[a,b]``, ``{a: 1}``, ``null`` and sweeps such as ``0,1,2`` mean what its users
expect. What that grammar refuses (``~``, ``>=``, ``=``, letters beyond ASCII) is read as YAML or as plain text, so that
quotes within quotes are rarely needed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, replace
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Quote, QuotedString
from hydra.core.override_parser.types import Override as HydraOverride
from hydra.errors import HydraException

from evomerge.config import schema, value_types
from evomerge.config.schema import Key
from evomerge.config.yaml_values import yaml_value
from evomerge.errors import suggest

_WORD = re.compile(r"^(?P<prefix>\+{0,2}|~)(?P<key>[A-Za-z_][\w./@*-]*)=(?P<text>.*)$", re.DOTALL)
_PLAIN = re.compile(r"(?:[A-Za-z_]|\.{0,2}/)[\w./-]*", re.ASCII)
_PLAIN_KEY = re.compile(
    r"(?!(?:null|true|false|inf|nan)$)[A-Za-z_*?](?:[\w*?/+.@ -]*[\w*?])?", re.ASCII | re.IGNORECASE
)
_OTHER_VALUES = ("null", "true", "false", "inf", "nan")  # words that the grammar takes for something else than text
_CALL = re.compile(r"^(choice|range|interval|glob|shuffle|sort|tag)\(")


@dataclass(frozen=True)
class Override:
    """One word of the command line.

    Attributes:
        key: A key, or the name of a group.
        value: What it is set to; for a sweep, the values in turn.
        group: Whether it chooses one of a group's YAML files.
        sweep: Whether ``value`` is a tuple of several values, one per job.
    """

    key: str
    value: Any
    group: bool = False
    sweep: bool = False


def read(
    words: Sequence[str], known: Mapping[str, Key], groups: Mapping[str, Sequence[str]], *, sweeps: bool = False
) -> tuple[list[Override], list[str]]:
    """Reads all words.

    Args:
        words: The command line after the verb.
        known: The keys of the verb.
        groups: The groups that may be chosen, with the names in each.
        sweeps: Whether several values for one key are several jobs.

    Returns:
        The readable ones in order, and a problem for each of the others.
    """
    found: list[Override] = []
    problems: list[str] = []
    for word in words:
        override, problem = _read_word(word, known, groups, sweeps)
        if override is not None:
            found.append(override)
        if problem:
            problems.append(problem)
    return found, problems


def jobs(overrides: Sequence[Override]) -> list[list[Override]]:
    """One list of overrides per job: every combination of the swept values, the last key varying fastest."""
    axes = [
        [replace(override, value=value, sweep=False) for value in override.value] if override.sweep else [override]
        for override in overrides
    ]
    return [list(combination) for combination in itertools.product(*axes)]


def written(value: Any) -> str:
    """A value in Hydra's grammar, quoted where needed."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        names = list(map(str, value))
        # The grammar takes no quotes around keys, and more letters than in values; beside quotes YAML reads all of it.
        if not all(map(_PLAIN_KEY.fullmatch, names)):
            names = [QuotedString(name, Quote.single).with_quotes() for name in names]
        return (
            "{" + ",".join(f"{name}:{written(inner)}" for name, inner in zip(names, value.values(), strict=True)) + "}"
        )
    if isinstance(value, list | tuple):
        return "[" + ",".join(written(inner) for inner in value) + "]"
    text = str(value)
    plain = _PLAIN.fullmatch(text) and text.lower() not in _OTHER_VALUES
    return text if plain else QuotedString(text, Quote.single).with_quotes()


def _read_word(
    word: str, known: Mapping[str, Key], groups: Mapping[str, Sequence[str]], sweeps: bool
) -> tuple[Override | None, str | None]:
    match = _WORD.match(word)
    if match is None:
        return None, _unreadable(word, known, groups)
    key, text = match["key"], match["text"]
    if match["prefix"] == "~":
        return None, f"{word}: to take a setting away, write {key}=null"
    if key.split(".")[0].split("/")[0] == "hydra":
        if sweeps:
            return None, None
        return None, f"{key}: Hydra's own settings apply to sweeps only; add -m"
    is_group = key in groups
    if (
        not is_group
        and key not in known
        and schema.free_key(key, known) is None
        and not _is_section_value(key, text, known)
    ):
        return None, schema.unknown(key, known, tuple(groups))
    try:
        parsed = _parsed(text)
        if parsed is not None and parsed.is_sweep_override():
            return _read_sweep(key, text, parsed, known, groups, sweeps)
        value = parsed.value() if parsed is not None else _lenient(text)
    except (HydraException, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())[:80]
        return None, f"{key}: {value_types.quoted(text)} cannot be read ({why}); put it into quotes"
    if is_group and not (isinstance(value, Mapping) and key in schema.sections(known)):
        return _read_choice(key, text, groups[key])
    return Override(key, _as_written(key, value, text, known)), None


def _is_section_value(key: str, text: str, known: Mapping[str, Key]) -> bool:
    return key in schema.sections(known) and text.startswith("{")


def _read_choice(key: str, text: str, names: Sequence[str]) -> tuple[Override | None, str | None]:
    name = text.strip("'\"")
    if name in names or (key == "experiment" and name.endswith((".yaml", ".yml"))):
        return Override(key, name, group=True), None
    if key == "experiment" and name == "null":
        return None, None
    return None, f"{key}: there is no {key} {name!r}{suggest(name, names)} (there are {', '.join(names)})"


def _read_sweep(
    key: str,
    text: str,
    parsed: HydraOverride,
    known: Mapping[str, Key],
    groups: Mapping[str, Sequence[str]],
    sweeps: bool,
) -> tuple[Override | None, str | None]:
    kind = known[key].kind if key in known else None
    if not sweeps:
        plain = _CALL.match(text) is None
        if plain and kind is not None and kind.text:
            return Override(key, text), None
        if plain and kind is not None and kind.many:
            return None, f"{key}: {text} holds several values; a list is written {key}=[{text}]"
        return None, f"{key}: {text} holds several values; add -m to run one search for each"
    sweep: Any = parsed.value()
    if isinstance(sweep, Glob):
        values: list[Any] = sweep.filter(list(groups.get(key, ())))
        if not values:
            return None, f"{key}: {text} matches nothing; glob() is for the names of a group"
    elif not parsed.is_discrete_sweep():
        return None, f"{key}: {text} is continuous; a sweep needs values that can be counted, such as 0,1,2"
    else:
        values = [_as_written(key, _read_value(one), one, known) for one in parsed.sweep_string_iterator()]
    if not values:
        return None, f"{key}: {text} holds no value"
    if key in groups:
        problems = [
            problem for _, problem in (_read_choice(key, str(value), groups[key]) for value in values) if problem
        ]
        if problems:
            return None, "; ".join(problems)
    return Override(key, tuple(values), key in groups, sweep=True), None


def _parsed(text: str) -> HydraOverride | None:
    """A value in Hydra's grammar; None where it is none and may be read as YAML or as plain text."""
    try:
        return OverridesParser.create().parse_override(f"value={text}")
    except (HydraException, ValueError, RecursionError):  # a number of thousands of digits, brackets without end
        if _CALL.match(text):
            raise
        return None


def _lenient(text: str) -> Any:
    return yaml_value(text) if text[:1] in "[{" else text


def _read_value(text: str) -> Any:
    parsed = _parsed(text)
    return _lenient(text) if parsed is None else parsed.value()


def _as_written(key: str, value: Any, text: str, known: Mapping[str, Key]) -> Any:
    """For keys that hold the user's own words: the words, not what they look like."""
    entry = known.get(key)
    if entry is None or not entry.kind.text or value is None or isinstance(value, str | list | dict):
        return value
    return text


def _unreadable(word: str, known: Mapping[str, Key], groups: Mapping[str, Sequence[str]]) -> str:
    key = word.lstrip("-").partition("=")[0].replace("-", "_")
    if word.startswith("-") and (key in known or key in groups):
        return f"{word}: keys are written without dashes, {key}=..."
    if word.startswith("~"):
        return f"{word}: to take a setting away, write {word[1:]}=null"
    if word.startswith("-"):
        return f"{word}: unknown option; there are --help, --version, --debug and, for search, -m"
    if "=" in word:
        return f"{word}: expected key=value with a key such as seed or genome.depth"
    if word.endswith((".yaml", ".yml")):
        return f"{word}: expected key=value; a file of settings is given as experiment={word}"
    if word in known or word in groups:
        return f"{word}: expected key=value, so {word}=..."
    named = next((group for group, names in groups.items() if word in names), None)
    if named:
        return f"{word}: expected key=value; did you mean {named}={word}?"
    needed = [name for name, entry in known.items() if entry.default is MISSING]
    if len(known) == 1 or (len(needed) == 1 and "/" in word):
        return f"{word}: expected key=value; did you mean {(needed or list(known))[0]}={word}?"
    return f"{word}: expected key=value{suggest(word, [*known, *groups])}"
