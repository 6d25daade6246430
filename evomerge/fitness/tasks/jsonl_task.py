"""Tasks declared over the user's own JSONL file: a file and a few template fields instead of a task file.

``{task: capitals, data: capitals.jsonl, question: "{{question}} Answer:", choices: "{{options}}", answer: "{{gold}}"}``
is a multiple-choice task; without ``choices`` the answer is generated and compared, or, where there are ``tests``, run
(see :mod:`evomerge.fitness.tasks.code.declaration`). A template that is one field alone,
such as ``"{{options}}"``, hands the field over as it is: a list stays a list and a number an index.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta

from evomerge.errors import InputError, suggest
from evomerge.fitness.tasks.code import declaration
from evomerge.fitness.tasks.data_files import find, read_rows

OUTPUT_TYPES = ("multiple_choice", "loglikelihood", "loglikelihood_rolling", "generate_until")
_OWN = (
    *("task", "data", "question", "choices", "answer", "output_type", "fewshot"),
    *("metrics", "stop", "max_gen_toks", "cluster"),
    *declaration.KEYS,
)
_PASSED = (
    "description",
    "target_delimiter",
    "fewshot_delimiter",
    "num_fewshot",
    "gen_prefix",
    "metric_list",
    "filter_list",
    "generation_kwargs",
)
_FIELD = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def problems(spec: Mapping[str, Any]) -> list[str]:
    """Problems of a declaration that show without reading its file."""
    name = spec.get("task")
    where = f"task {name!r}" if name else "a task without a name"
    known = (*_OWN, *_PASSED)
    found = [f"tasks: {where}: unknown key {key!r}{suggest(key, known)}" for key in spec if key not in known]
    missing = [key for key in ("task", "data") if spec.get(key) in (None, "")]
    kind = _kind(spec)
    if kind not in OUTPUT_TYPES:
        found.append(f"tasks: {where}: unknown output_type {kind!r}{suggest(str(kind), OUTPUT_TYPES)}")
    needed = {
        "multiple_choice": ("question", "choices", "answer"),
        "loglikelihood": ("question", "answer"),
        "loglikelihood_rolling": ("answer",),
    }
    missing += [key for key in needed.get(str(kind), ("question", "answer")) if key not in spec]
    found += [f"tasks: {where}: needs the key {key!r}" for key in missing]
    found += [f"tasks: {where}: {told}" for told in _wrong_keys(spec, set(missing))]
    return found


def _wrong_keys(spec: Mapping[str, Any], missing: set[str]) -> Iterator[str]:
    yield from _wrong_types(spec, missing)
    yield from _without_effect(spec)
    yield from declaration.problems(spec)


def _without_effect(spec: Mapping[str, Any]) -> Iterator[str]:
    """Keys that another one overrides, or that this kind of task does not have."""
    generates = _kind(spec) == "generate_until"
    for key, inside in (("stop", "until"), ("max_gen_toks", "max_gen_toks"), ("generation_kwargs", "")):
        if key in spec and not generates and _kind(spec) in OUTPUT_TYPES:
            yield f"{key}: has no effect, since a task of kind {_kind(spec)} generates nothing; leave it out"
        elif key in spec and inside and "generation_kwargs" in spec:
            yield f"{key}: has no effect beside generation_kwargs; write it there, as {inside}"
    if "metrics" in spec and "metric_list" in spec:
        yield "metrics: has no effect beside metric_list; keep one of them"


def _wrong_types(spec: Mapping[str, Any], missing: set[str]) -> Iterator[str]:
    """Values of keys that are not of the type that the key wants; a text is never taken for a list of letters."""
    for key, value in spec.items():
        wanted, fits = _WANTED.get(key, ("", None))
        if fits is not None and key not in missing and not fits(value):
            yield f"{key}: expected {wanted}, came {value!r}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    entries = value if isinstance(value, list | tuple) else [value]
    return all(isinstance(entry, str) for entry in entries)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


_WANTED: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "task": ("a text (put quotes around it)", _is_text),
    "data": ("the name of a file", _is_text),
    "fewshot": ("the name of a file", _is_text),
    "question": ("a text with {{fields}}", _is_text),
    "choices": ("a text with a {{field}}, or a list of texts (put quotes around them)", _is_texts),
    "answer": ("a text with {{fields}}", lambda value: _is_text(value) or _is_count(value)),
    "stop": ("a text or a list of texts", _is_texts),
    "metrics": ("a name or a list of names", _is_texts),
    "cluster": ("the name of a field", _is_text),
    "tests": ("a text with {{fields}}", _is_text),
    "program": ("a text with {{fields}}", _is_text),
    "max_gen_toks": ("a whole number of at least 1", lambda value: _is_count(value) and value > 0),
    "num_fewshot": ("a whole number", _is_count),
    "generation_kwargs": ("a mapping", lambda value: isinstance(value, Mapping)),
}


def warning(spec: Mapping[str, Any]) -> str | None:
    """Predicate of a sentence about a declaration that became a generation task because nobody said what it is."""
    if "choices" in spec or "tests" in spec or spec.get("output_type"):
        return None
    return "has no choices: taken as a generation task"


def _kind(spec: Mapping[str, Any]) -> Any:
    return spec.get("output_type") or ("multiple_choice" if "choices" in spec else "generate_until")


def config(spec: Mapping[str, Any], folders: Sequence[Path]) -> dict[str, Any]:
    """The task configuration that a declaration stands for, its rows loaded under ``rows``.

    Args:
        spec: The declaration, free of ``problems``.
        folders: Where its files may lie, besides the working folder.

    Returns:
        Fields of an lm-eval task, and ``rows``: split name to list of documents.

    Raises:
        InputError: If a file is missing, empty or not JSONL, or a template names a field that it does not have.
    """
    kind = _kind(spec)
    rows, wrong = _rows(spec, folders)
    if wrong:
        raise InputError(wrong)
    fields: dict[str, Any] = {name: spec[name] for name in _PASSED if name in spec}
    fields |= {
        "task": str(spec["task"]),
        "output_type": kind,
        "test_split": "test",
        "fewshot_split": "fewshot" if spec.get("fewshot") else "test",
        "doc_to_text": _template(spec.get("question", ""), rows["test"]),
        "doc_to_target": _template(spec["answer"], rows["test"]),
        "rows": rows,
    }
    if "choices" in spec:
        options = spec["choices"]
        fields["doc_to_choice"] = _template(options if isinstance(options, str) else list(options), rows["test"])
    if spec.get("cluster"):
        fields["metadata"] = {"cluster": spec["cluster"]}
    if "metrics" in spec:
        fields["metric_list"] = [{"metric": name} for name in _listed(spec["metrics"])]
    if kind == "generate_until" and "generation_kwargs" not in spec:
        stop = _listed(spec.get("stop", [] if "tests" in spec else "\n"))  # programs have more than one line
        fields["generation_kwargs"] = {"until": stop, "do_sample": False}
        if "max_gen_toks" in spec:
            fields["generation_kwargs"]["max_gen_toks"] = int(spec["max_gen_toks"])
    return fields | (declaration.fields(spec, rows["test"]) if "tests" in spec else {})


def _rows(spec: Mapping[str, Any], folders: Sequence[Path]) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """Rows of the data file and of the file of examples, and what is wrong with either."""
    rows: dict[str, list[dict[str, Any]]] = {}
    problems: list[str] = []
    for split, key in (("test", "data"), ("fewshot", "fewshot")):
        if not spec.get(key):
            continue
        try:
            rows[split] = read_rows(find(spec[key], folders, spec["task"]))
        except InputError as error:
            problems += error.problems
        else:
            problems += _unknown_fields(spec, rows[split], "the data do" if key == "data" else f"{spec[key]} does")
    return rows, list(dict.fromkeys(problems))


def _unknown_fields(spec: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], where: str) -> list[str]:
    """Fields that templates name and the rows do not have."""
    environment = jinja2.Environment(autoescape=False)  # only read here, never rendered
    found = []
    for key in ("question", "choices", "answer", *declaration.KEYS):
        template = spec.get(key)
        if not isinstance(template, str):
            continue
        try:
            named = jinja2.meta.find_undeclared_variables(environment.parse(template))
        except jinja2.TemplateSyntaxError as error:
            found.append(f"task {spec['task']!r}: {key} is not a template: {error.message}")
            continue
        given = {declaration.COMPLETION} if key == "program" else set()
        unknown = sorted(named - given - set(rows[0]) - set(environment.globals))
        found += [
            f"task {spec['task']!r}: {key} names the field {name!r}, which {where} not have{suggest(name, rows[0])}; "
            f"the fields are {', '.join(rows[0])}"
            for name in unknown
        ]
    return found


def _listed(value: str | Sequence[str]) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _template(value: Any, rows: Sequence[Mapping[str, Any]]) -> Any:
    match = _FIELD.fullmatch(value.strip()) if isinstance(value, str) else None
    return match.group(1) if match and match.group(1) in rows[0] else value
