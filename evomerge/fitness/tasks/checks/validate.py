"""Checks the declaration of a task before lm-eval builds it: its name, metrics, filters, data files and kind.

lm-eval looks unknown metrics up on the network and goes on without them; here they are refused.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lm_eval.api.metrics
import lm_eval.filters  # noqa: F401
from lm_eval.api.registry import AGGREGATION_REGISTRY, FILTER_REGISTRY, METRIC_AGGREGATION_REGISTRY, METRIC_REGISTRY
from lm_eval.api.task import ALL_OUTPUT_TYPES, Task, TaskConfig

from evomerge.errors import InputError, suggest
from evomerge.fitness.tasks.code.recognition import is_sandboxed
from evomerge.fitness.tasks.data_files import read_text

# Loaders of the datasets library that read plain files.
_TEXT_ENDINGS = (".json", ".jsonl", ".txt", ".csv", ".tsv")
_FILE_LOADERS = ("json", "csv", "parquet", "text", "arrow", "xml")


# Names that metric keys give a meaning of their own: ``all.acc`` is every task's, ``python`` has the user's functions.
_TAKEN = ("all", "python")
_NAME = re.compile(r"[\w.:/()-]+")


def name_problems(name: str) -> list[str]:
    """Refuses names that objectives could not name: ``task.metric`` is read up to a space, a comma or a sign."""
    if not _NAME.fullmatch(name):
        odd = next((letter for letter in name if not _NAME.fullmatch(letter)), "")
        return [f"tasks: the name {name!r} holds {odd!r}; a task's name is made of letters, digits and _ . : / -"]
    return [f"tasks: the name {name!r} has a meaning of its own; name the task otherwise"] if name in _TAKEN else []


def problems(name: str, config: Mapping[str, Any]) -> list[str]:
    """Problems of a task's declaration.

    Args:
        name: Of the task or group.
        config: Its configuration, functions resolved.
    """
    found = _shape_problems(name, config)
    if found:
        return found
    kind = config.get("output_type")
    if kind is not None and kind not in ALL_OUTPUT_TYPES:
        found.append(f"task {name!r}: unknown output_type {kind!r}{suggest(str(kind), ALL_OUTPUT_TYPES)}")
    found += unsafe_code_problems(name, config) if config.get("unsafe_code") else []
    for entry in config.get("metric_list") or []:
        found += _metric_problems(name, entry, custom=callable(config.get("process_results")))
    for filters in config.get("filter_list") or []:
        for step in filters["filter"]:
            function = step.get("function")
            if not callable(function) and function not in FILTER_REGISTRY:
                found.append(f"task {name!r}: unknown filter {function!r}{suggest(str(function), FILTER_REGISTRY)}")
            found += _pattern_problems(name, step)
    return found


def _pattern_problems(name: str, step: Mapping[str, Any]) -> list[str]:
    """Problems of a filter's regular expression, which lm-eval compiles when a model has answered."""
    try:
        re.compile(step.get("regex_pattern") or "")
    except (re.error, TypeError) as error:
        return [f"task {name!r}: regex_pattern {step['regex_pattern']!r} is not a regular expression: {error}"]
    return []


def _shape_problems(name: str, config: Mapping[str, Any]) -> list[str]:
    """Keys whose values are not of the shape that lm-eval walks through."""
    found = []
    for key, inner in (("metric_list", "{metric: NAME}"), ("filter_list", "{name: NAME, filter: [{function: NAME}]}")):
        entries = config.get(key) or []
        if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
            found.append(f"task {name!r}: {key}: expected a list of {inner}, came {entries!r}")
        elif key == "filter_list" and not all(_is_filter(entry) for entry in entries):
            found.append(f"task {name!r}: {key}: each entry needs a name and a list of steps: {inner}")
    for key, (wanted, types) in _TYPES.items():
        value = config.get(key)
        if value is not None and not callable(value) and (not isinstance(value, types) or isinstance(value, bool)):
            found.append(f"task {name!r}: {key}: expected {wanted}, came {value!r}")
    metadata = config.get("metadata")
    cluster = metadata.get("cluster") if isinstance(metadata, Mapping) else None
    if cluster is not None and not isinstance(cluster, str):
        found.append(f"task {name!r}: metadata: cluster: expected the name of a field, came {cluster!r}")
    for key, least in _LEAST.items():
        value = config.get(key)
        if isinstance(value, int) and value < least:
            found.append(f"task {name!r}: {key}: expected {least} or more, came {value!r}")
    return found


def group_problems(name: str, config: Mapping[str, Any]) -> list[str]:
    """Refuses a text for a group's ``weight_by_size``, which would count as true whatever it says.

    Args:
        name: Of the group.
        config: Its configuration; one that people can edit, for one of lm-eval's own has such a text.
    """
    rules = config.get("aggregate_metric_list")
    values = [
        rule["weight_by_size"]
        for rule in (rules if isinstance(rules, list) else [rules])
        if isinstance(rule, Mapping) and rule.get("weight_by_size") is not None
    ]
    return [
        f"task {name!r}: aggregate_metric_list: weight_by_size: expected true or false, came {value!r}"
        for value in values
        if not isinstance(value, bool)
    ]


_TYPES: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "dataset_kwargs": ("a mapping", (Mapping,)),
    "generation_kwargs": ("a mapping", (Mapping,)),
    "num_fewshot": ("a whole number", (int,)),
    "repeats": ("a whole number", (int,)),
    "doc_to_text": ("a text with {{fields}}, or a function", (str,)),
    "doc_to_choice": ("a text with a {{field}}, a list, a mapping or a function", (str, list, Mapping)),
    "doc_to_target": ("a text with {{fields}}, a place, a list or a function", (str, int, list)),
    "target_delimiter": ("a text", (str,)),
    "fewshot_delimiter": ("a text", (str,)),
    "description": ("a text", (str,)),
    "training_split": ("a text", (str,)),
    "validation_split": ("a text", (str,)),
    "test_split": ("a text", (str,)),
    "fewshot_split": ("a text", (str,)),
}


_READ_BY_LOADER = ("include", "class", "group", "group_alias")
_LEAST: Mapping[str, int] = {"num_fewshot": 0, "repeats": 1}


def _is_filter(entry: Mapping[str, Any]) -> bool:
    steps = entry.get("filter")
    return "name" in entry and isinstance(steps, list) and all(isinstance(step, Mapping) for step in steps)


def _metric_problems(name: str, entry: Mapping[str, Any], *, custom: bool) -> Iterator[str]:
    metric, aggregation = entry.get("metric"), entry.get("aggregation")
    if metric is None:
        yield f"task {name!r}: an entry of metric_list has no 'metric'"
        return
    better = entry.get("higher_is_better")
    if better is not None and not isinstance(better, bool):
        yield f"task {name!r}: metric {metric!r}: higher_is_better: expected true or false, came {better!r}"
    if entry.get("hf_evaluate"):
        yield f"task {name!r}: metric {metric!r} asks for hf_evaluate, code from the network; declare a function"
    elif not custom and not callable(metric) and metric not in METRIC_REGISTRY:
        yield f"task {name!r}: unknown metric {metric!r}{suggest(str(metric), METRIC_REGISTRY)}"
    if aggregation is None:
        if callable(metric) or (metric not in METRIC_AGGREGATION_REGISTRY and (custom or metric in METRIC_REGISTRY)):
            yield f"task {name!r}: metric {metric!r} needs an 'aggregation', for example mean"
    elif not callable(aggregation) and aggregation not in AGGREGATION_REGISTRY:
        yield f"task {name!r}: unknown aggregation {aggregation!r}{suggest(str(aggregation), AGGREGATION_REGISTRY)}"


def missing_parts(name: str, config: Mapping[str, Any]) -> list[str]:
    """Refuses a task file that leaves out what its kind of task cannot do without; lm-eval fails on the first item."""
    if "class" in config or config.get("use_prompt") or not isinstance(config.get("task"), str):
        return []
    kind = config.get("output_type", "generate_until")
    needed = [] if callable(config.get("custom_dataset")) else ["dataset_path"]
    needed += ["doc_to_text", "doc_to_target", *(["doc_to_choice"] if kind == "multiple_choice" else [])]
    return [f"task {name!r}: declares no {key}, which {kind} needs" for key in needed if config.get(key) is None]


def unknown_keys(name: str, config: Mapping[str, Any]) -> list[str]:
    """Refuses keys of a task file that lm-eval does not know and fails on without naming the task."""
    if "class" in config or not isinstance(config.get("task"), str):
        return []
    known = {field.name for field in dataclasses.fields(TaskConfig)} | set(_READ_BY_LOADER)
    return [f"task {name!r}: unknown key {key!r}{suggest(str(key), known)}" for key in config if key not in known]


def kind_problems(name: str, task: Task) -> list[str]:
    """Refuses kinds of tasks that are not scored here."""
    found = []
    if getattr(task, "MULTIMODAL", False):
        found.append(f"task {name!r} needs images or sound; only texts are scored")
    if getattr(task, "UNSAFE_CODE", False):
        found += unsafe_code_problems(name, vars(task.config) if isinstance(task.config, TaskConfig) else {})
    return found


def unsafe_code_problems(name: str, config: Mapping[str, Any]) -> list[str]:
    """Refuses a task that runs what models write by code of its own."""
    if is_sandboxed(config):
        return []
    return [
        f"task {name!r} runs its answers by code of its own, out of reach of the sandbox; let it judge by code_eval of "
        "the evaluate library, or by the metric pass_at_k"
    ]


def resolve_files(name: str, config: dict[str, Any], folder: Path) -> list[str]:
    """Makes the data files of a task file absolute: they are looked for in its folder, then in the working folder.

    Args:
        name: Of the task.
        config: Its configuration; changed in place.
        folder: Where the task file lies.

    Returns:
        Problems: files that do not exist or are empty, splits that no file gives.
    """
    path = config.get("dataset_path")
    arguments = dict(config.get("dataset_kwargs") or {})
    if path not in _FILE_LOADERS:
        if isinstance(path, str) and (folder / path).is_dir():
            config["dataset_path"] = str((folder / path).resolve())
        return []
    if "data_dir" in arguments:
        place = folder / str(arguments["data_dir"])
        config["dataset_kwargs"] = arguments | ({"data_dir": str(place.resolve())} if place.is_dir() else {})
        return []
    files = arguments.get("data_files")
    if files is None:
        return [f"task {name!r}: dataset_path {path!r} needs dataset_kwargs: {{data_files: {{test: FILE}}}}"]
    found: list[str] = []
    if isinstance(files, Mapping):
        resolved: Any = {split: _resolve(name, value, folder, found) for split, value in files.items()}
    else:
        resolved = _resolve(name, files, folder, found)
    config["dataset_kwargs"] = {**arguments, "data_files": resolved}
    splits = sorted(files) if isinstance(files, Mapping) else ["train"]
    return [*found, *_split_problems(name, config, splits)]


def _resolve(name: str, value: Any, folder: Path, found: list[str]) -> Any:
    if isinstance(value, list):
        return [_resolve(name, entry, folder, found) for entry in value]
    text = str(value)
    if "://" in text:
        return text
    for place in (folder / text, Path(text).expanduser()):
        place = place.absolute()
        if any(sign in text for sign in "*?["):
            if any(Path(place.anchor).glob(str(place.relative_to(place.anchor)))):
                return str(place)
        elif place.is_file():
            found += _file_problems(name, place)
            return str(place.resolve())
        elif place.is_dir():
            found.append(f"task {name!r}: data file {place} is a folder; name files, for example {text}/*.jsonl")
            return text
    found.append(f"task {name!r}: data file {text!r} was not found in {folder} or in the working folder")
    return text


def _file_problems(name: str, path: Path) -> list[str]:
    """Files that are empty or of an encoding that no loader is told of."""
    if path.stat().st_size == 0:
        return [f"task {name!r}: data file {path} is empty"]
    if path.suffix not in _TEXT_ENDINGS:
        return []
    try:
        read_text(path)
    except InputError as error:
        return [f"task {name!r}: {problem}" for problem in error.problems]
    return []


def _split_problems(name: str, config: Mapping[str, Any], splits: list[str]) -> Iterator[str]:
    keys = ("training_split", "validation_split", "test_split", "fewshot_split")
    for key in keys:
        split = config.get(key)
        if isinstance(split, str) and split not in splits:
            yield (
                f"task {name!r}: {key} is {split!r}, but its data_files give {', '.join(splits)}; "
                f"write data_files: {{{split}: FILE}}"
            )
    if not config.get("test_split") and not config.get("validation_split"):
        yield f"task {name!r}: needs a test_split or a validation_split to score on"
