"""From values by key to a checked configuration: all that can be known without opening a checkpoint or a task."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from evomerge.config import checks, model_names, recipe_keys, schema, value_types
from evomerge.config.schema import Key
from evomerge.errors import InputError
from evomerge.run import environment
from evomerge.run.audit.config import AuditConfig, answers_kept
from evomerge.run.cluster.settings import WorkerConfig
from evomerge.run.configs.verbs import (
    CompareConfig,
    EvaluateConfig,
    ExplainConfig,
    ExportConfig,
    MergeConfig,
    MethodsConfig,
    ReportConfig,
)
from evomerge.run.paths import expanded, is_file, is_folder, new_file_problem, new_folder_problem, sibling
from evomerge.run.run_config import RunConfig
from evomerge.run.status.config import StatusConfig
from evomerge.settings import build
from evomerge.store import read_manifest

T = TypeVar("T")


def read_values(flat: Mapping[str, Any], known: Mapping[str, Key], problems: list[str]) -> dict[str, Any]:
    """Reads every value by its key's kind.

    Args:
        flat: Dotted key to value.
        known: The keys of the verb.
        problems: Gets a sentence for each value that cannot be used. What has one already, since its word could not be
            read or it is missing, is not read: nobody meant the value that stands there instead.

    Returns:
        The values that can.
    """
    values: dict[str, Any] = {}
    told = _told(problems)
    for name, value in flat.items():
        kind = known[name].kind
        if name in told:
            continue
        if not _is_unicode(value):
            problems.append(f"{name}: {value!a} is not UTF-8, as manifests and reports are; write or rename it so")
            continue
        try:
            values[name] = kind.read(value)
        except ValueError as error:
            detail = f" ({error})" if str(error) else ""
            problems.append(f"{name}: expected {kind.expected}, came {value_types.quoted(value)}{detail}")
    return values


def _told(problems: Iterable[str]) -> set[str]:
    """The keys that problems begin with."""
    return {problem.partition(": ")[0] for problem in problems}


def _is_unicode(value: Any) -> bool:
    """Whether the texts in a value can be written as UTF-8; words and file names in other encodings cannot."""
    try:
        json.dumps(value, ensure_ascii=False, default=str, skipkeys=True).encode()
    except UnicodeEncodeError:
        return False
    except (TypeError, ValueError):
        pass  # not a text's fault
    return True


def run_config(
    flat: Mapping[str, Any],
    problems: list[str],
    *,
    command: tuple[str, ...] = (),
    given: Collection[str] = (),
    notes: tuple[str, ...] = (),
) -> RunConfig:
    """Checks a search's configuration and builds it.

    Args:
        flat: Dotted key to value, for every key of :data:`evomerge.config.schema.SEARCH`.
        problems: What was already found wrong; more is added.
        command: Words that repeat the run.
        given: The keys that the user set.
        notes: What to tell people of the translation of another tool's file.

    Raises:
        InputError: With all problems.
    """
    values = read_values(flat, schema.SEARCH, problems)
    problems += recipe_keys.fill(values, given)
    problems += fill_base(values)
    for check in checks.OF_SEARCH:
        problems += check(values)
    if problems:
        raise InputError(problems)
    values["offline"] = offline(values, [*values["models"], values["base"]])
    values["searcher.name"] = checks.searcher(values)
    return build(RunConfig, values, command=command, notes=notes)


def evaluate_config(flat: Mapping[str, Any], problems: list[str]) -> EvaluateConfig:
    """Checks the configuration of ``evaluate`` and builds it.

    Raises:
        InputError: With all problems.
    """
    require(flat, ("model",), schema.EVALUATE, problems)
    values = read_values(flat, schema.EVALUATE, problems)
    problems += checks.tasks(values) + checks.split(values)
    if "model" in values:
        problems += [f"model: {problem}" for problem in [model_names.missing(values["model"])] if problem]
    problems += out_problems(values, new_file_problem)
    if not problems:
        values["offline"] = offline(values, [values["model"], model_names.base_of([values["model"]])])
    return built(EvaluateConfig, values, problems)


def merge_config(flat: Mapping[str, Any], problems: list[str]) -> MergeConfig:
    """Checks the configuration of ``merge`` and builds it.

    Raises:
        InputError: With all problems.
    """
    require(flat, ("recipe", "out"), schema.MERGE, problems)
    values = read_values(flat, schema.MERGE, problems)
    read_recipe(values, problems)
    problems += out_problems(values, new_folder_problem)
    return built(MergeConfig, values, problems)


def explain_config(flat: Mapping[str, Any], problems: list[str]) -> ExplainConfig:
    """Checks the configuration of ``explain`` and builds it.

    Raises:
        InputError: With all problems.
    """
    require(flat, ("recipe", "tensor"), schema.EXPLAIN, problems)
    values = read_values(flat, schema.EXPLAIN, problems)
    read_recipe(values, problems)
    return built(ExplainConfig, values, problems)


def compare_config(flat: Mapping[str, Any], problems: list[str]) -> CompareConfig:
    """Checks the configuration of ``compare`` and builds it.

    Raises:
        InputError: With all problems.
    """
    require(flat, ("models",), schema.COMPARE, problems)
    values = read_values(flat, schema.COMPARE, problems)
    problems += fill_base(values)
    if values.get("base", ...) is None and "models" in values and "base" not in _told(problems):
        problems.append("base: missing; deltas are taken from it: base=FOLDER")
    problems += checks.models(values) + out_problems(values, new_file_problem)
    if not problems and values["offline"] is None:
        refs = [*values["models"], values["base"]]
        values["offline"] = environment.offline_for(place for ref in refs for place in model_names.sources_of(ref))
    return built(CompareConfig, values, problems)


def audit_config(flat: Mapping[str, Any], problems: list[str]) -> AuditConfig:
    """Checks the configuration of ``audit`` and builds it.

    Raises:
        InputError: With all problems.
    """
    require(flat, ("a", "b"), schema.AUDIT, problems)
    values = read_values(flat, schema.AUDIT, problems)
    problems += out_problems(values, new_file_problem, "json") + answers_kept(values)
    return built(AuditConfig, values, problems)


def _of_folder(
    kind: type[T], known: Mapping[str, Key], check: Callable[[Mapping[str, Any]], list[str]]
) -> Callable[[Mapping[str, Any], list[str]], T]:
    """Checks and builds the configuration of a verb that looks at a folder; InputError has all problems."""

    def config(flat: Mapping[str, Any], problems: list[str]) -> T:
        require(flat, ("run",), known, problems)
        values = read_values(flat, known, problems)
        problems += check(values) + out_problems(values, new_file_problem, "json")
        return built(kind, values, problems)

    return config


report_config = _of_folder(ReportConfig, schema.REPORT, checks.run_or_sweep)
status_config = _of_folder(StatusConfig, schema.STATUS, checks.any_run)
worker_config = _of_folder(WorkerConfig, schema.WORKER, checks.shared_run)


def methods_config(flat: Mapping[str, Any], problems: list[str]) -> MethodsConfig:
    """Checks the configuration of ``methods`` and builds it; InputError has all problems."""
    values = read_values(flat, schema.METHODS, problems)
    files = [problem for key in ("json", "markdown") for problem in out_problems(values, new_file_problem, key)]
    problems += checks.known_method(values) + files
    return built(MethodsConfig, values, problems)


def export_config(flat: Mapping[str, Any], problems: list[str]) -> ExportConfig:
    """Checks the configuration of ``export`` and builds it.

    Raises:
        InputError: With all problems.
    """
    require(flat, ("run", "member", "out"), schema.EXPORT, problems)
    values = read_values(flat, schema.EXPORT, problems)
    missing = checks.run_folder(values, "run")
    problems += missing
    if "run" in values and not missing:
        folder = expanded(values["run"])
        _settle_offline(values, "run", lambda: environment.offline_for_run(read_manifest(folder)), problems)
    problems += out_problems(values, new_folder_problem)
    return built(ExportConfig, values, problems)


def out_problems(values: Mapping[str, Any], look: Callable[[Path], str | None], key: str = "out") -> list[str]:
    """Why something cannot be written where a key says; nothing where it can, or the key is not set."""
    problem = None if values.get(key) is None else look(expanded(values[key]))
    return [f"{key}: {problem}"] if problem else []


def read_recipe(values: dict[str, Any], problems: list[str]) -> None:
    """Reads a recipe's file as far as it can be without its models, and settles whether the hub may be asked."""
    if "recipe" not in values:
        return
    path = expanded(values["recipe"])
    if not is_file(path):
        what = f"{values['recipe']} is a folder" if is_folder(path) else f"there is no file {values['recipe']}"
        problems.append(f"recipe: {what}; expected a recipe.json, or mergekit's YAML{sibling(path)}")
        return
    from evomerge.run.recipe_files import RecipeFile  # imports torch, which most verbs need later, and workers never

    _settle_offline(values, "recipe", lambda: RecipeFile.read(path).offline, problems)


def built(kind: type[T], values: Mapping[str, Any], problems: list[str]) -> T:
    """The configuration of a verb that keeps no word as it was written: places are those that they stand for."""
    if problems:
        raise InputError(problems)
    places = {
        key: str(expanded(values[key])) for key in ("run", "recipe", "out", "json") if values.get(key) is not None
    }
    return build(kind, {**values, **places})


def require(flat: Mapping[str, Any], names: tuple[str, ...], known: Mapping[str, Key], problems: list[str]) -> None:
    """Names the keys that have to be given and are not."""
    absent = [name for name in names if flat.get(name) is None and name not in _told(problems)]
    problems += [f"{name}: missing; write {name}=... ({known[name].doc})" for name in absent]


def offline(values: Mapping[str, Any], refs: Iterable[Any]) -> bool:
    """Offline as asked; else unless a model is named by hub id, or a task is none of the user's own."""
    if values["offline"] is not None:
        return values["offline"]
    if not environment.offline_for(place for ref in refs if ref is not None for place in model_names.sources_of(ref)):
        return False
    local = model_names.local_tasks(values["task_path"])
    named = [task for task in values["tasks"] if isinstance(task, str)]
    return all(task in local or task.endswith((".yaml", ".yml")) for task in named)


def fill_base(values: dict[str, Any]) -> list[str]:
    """Fills in the base that LoRA adapters name, where the user names none; what stands against it is returned."""
    if values.get("base", ...) is not None or not values.get("models"):
        return []
    try:
        base = model_names.base_of(values["models"])
    except InputError as error:
        return list(error.problems)
    if base is not None and (problem := model_names.missing(base)):
        told = f"the LoRA adapters among the models say that they were trained on {base.source}"
        return [f"base: {told}, but {problem}; set base=..."]
    values["base"] = base
    return []


def _settle_offline(values: dict[str, Any], key: str, look: Callable[[], bool], problems: list[str]) -> None:
    """Fills in ``offline`` where it is left open, from the file that a key names; one that cannot be read is told."""
    try:
        found = look()
    except InputError as error:
        problems += [f"{key}: {problem}" for problem in error.problems]
        return
    if values.get("offline") is None:
        values["offline"] = found
