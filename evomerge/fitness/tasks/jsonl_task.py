"""Tasks declared over the user's own JSONL file: a file and a few template fields instead of a task file.

``{task: capitals, data: capitals.jsonl, question: "{{question}} Answer:", choices: "{{options}}", answer: "{{gold}}"}``
is a multiple-choice task; without ``choices`` the answer is generated and compared. A template that is one field alone,
such as ``"{{options}}"``, hands the field over as it is: a list stays a list and a number an index.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta

from evomerge.errors import InputError, suggest

OUTPUT_TYPES = ("multiple_choice", "loglikelihood", "loglikelihood_rolling", "generate_until")
_OWN = ("task", "data", "question", "choices", "answer", "output_type", "fewshot", "metrics", "stop", "max_gen_toks")
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
_TYPES = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
_FIELD = re.compile(r"\{\{\s*(\w+)\s*\}\}")


def problems(spec: Mapping[str, Any]) -> list[str]:
    """What is wrong with a declaration, told without reading its file."""
    name = spec.get("task")
    where = f"task {name!r}" if name else "a task without a name"
    known = (*_OWN, *_PASSED)
    found = [f"tasks: {where}: unknown key {key!r}{suggest(key, known)}" for key in spec if key not in known]
    missing = [key for key in ("task", "data") if not spec.get(key)]
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
    return found


def warning(spec: Mapping[str, Any]) -> str | None:
    """What people should know of a declaration: that it is a generation task because nobody said what it is."""
    if "choices" in spec or spec.get("output_type"):
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
    rows = {"test": read_rows(find(str(spec["data"]), folders, str(spec["task"])))}
    if spec.get("fewshot"):
        rows["fewshot"] = read_rows(find(str(spec["fewshot"]), folders, str(spec["task"])))
    if wrong := _unknown_fields(spec, rows["test"]):
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
        fields["doc_to_choice"] = _template(spec["choices"], rows["test"])
    if "metrics" in spec:
        fields["metric_list"] = [{"metric": name} for name in spec["metrics"]]
    if kind == "generate_until" and "generation_kwargs" not in spec:
        fields["generation_kwargs"] = {"until": list(spec.get("stop", ["\n"])), "do_sample": False}
        if "max_gen_toks" in spec:
            fields["generation_kwargs"]["max_gen_toks"] = int(spec["max_gen_toks"])
    return fields


def _unknown_fields(spec: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Fields that templates name and the data do not have."""
    environment = jinja2.Environment(autoescape=False)  # only read here, never rendered
    found = []
    for key in ("question", "choices", "answer"):
        template = spec.get(key)
        if not isinstance(template, str):
            continue
        try:
            named = jinja2.meta.find_undeclared_variables(environment.parse(template))
        except jinja2.TemplateSyntaxError as error:
            found.append(f"task {spec['task']!r}: {key} is not a template: {error.message}")
            continue
        unknown = sorted(named - set(rows[0]) - set(environment.globals))
        found += [
            f"task {spec['task']!r}: {key} names the field {name!r}, which the data do not have"
            f"{suggest(name, rows[0])}; the fields are {', '.join(rows[0])}"
            for name in unknown
        ]
    return found


def _template(value: Any, rows: Sequence[Mapping[str, Any]]) -> Any:
    match = _FIELD.fullmatch(value.strip()) if isinstance(value, str) else None
    return match.group(1) if match and match.group(1) in rows[0] else value


def find(name: str, folders: Sequence[Path], task: str) -> Path:
    """The file of that name: as given, or inside one of the folders.

    Raises:
        InputError: If there is none.
    """
    path = Path(name).expanduser()
    for candidate in [path] if path.is_absolute() else [path, *(folder / path for folder in folders)]:
        if candidate.is_file():
            return candidate
    places = ", ".join(["the working folder", *(str(folder) for folder in folders)])
    raise InputError(f"task {task!r}: data file {name!r} was not found; looked in {places}")


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a JSONL file, or of a JSON file that holds a list; every row gets all fields.

    Raises:
        InputError: If the file is empty, a line is not a JSON object, or a field holds values of several types.
    """
    text = path.read_text(encoding="utf-8")
    if text.lstrip().startswith("["):
        entries = [(1, text)]
    else:
        entries = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    rows: list[Any] = []
    places: list[str] = []
    for number, entry in entries:
        try:
            value = json.loads(entry)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}, line {number}: expected a JSON object: {error.msg}") from error
        if isinstance(value, list):
            places += [f"row {place}" for place in range(len(rows) + 1, len(rows) + 1 + len(value))]
            rows += value
        else:
            places.append(f"line {number}")
            rows.append(value)
    if not rows:
        raise InputError(f"{path} is empty; a task needs at least one item")
    if wrong := next((place for place, row in enumerate(rows, 1) if not isinstance(row, dict)), None):
        raise InputError(f"{path}, row {wrong}: expected a JSON object, came {type(rows[wrong - 1]).__name__}")
    if mixed := _mixed_types(rows, places):
        raise InputError([f"{path}, {problem}" for problem in mixed])
    fields = list(dict.fromkeys(field for row in rows for field in row))
    return [{field: row.get(field) for field in fields} for row in rows]


def _mixed_types(rows: Sequence[Mapping[str, Any]], places: Sequence[str]) -> list[str]:
    """Fields whose values are not of one type, each with the first place where that shows."""
    first: dict[str, tuple[str, str]] = {}
    found: dict[str, str] = {}
    for row, place in zip(rows, places, strict=True):
        for path, kind in (pair for name, value in row.items() for pair in _types(value, name)):
            known, where = first.setdefault(path, (kind, place))
            if known != kind:
                told = f"{place}: field {path!r} is {kind}, but {known} on {where}; write it the same way everywhere"
                found.setdefault(path, told)
    return list(found.values())


def _types(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """A value's type in the words of JSON, and those of what lies in it, by path; null goes with everything."""
    if value is None:
        return
    yield path, _TYPES[type(value)]
    if isinstance(value, list):
        for entry in value:
            yield from _types(entry, f"{path}[]")
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield from _types(entry, f"{path}.{name}")
