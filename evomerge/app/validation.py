"""From values by key to a checked configuration: all that can be known without opening a checkpoint or a task."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evomerge.app import keys, sources
from evomerge.app.config import (
    BudgetSettings,
    ConfirmSettings,
    EvaluateConfig,
    ExecutorChoice,
    ExportConfig,
    MergeConfig,
    ModelSettings,
    ReportConfig,
    RunConfig,
    Runtime,
    SearcherChoice,
)
from evomerge.app.keys import Key
from evomerge.errors import InputError, suggest
from evomerge.genome import GenomeSettings

# Algorithms that `searcher=auto` stands for.
SEVERAL_OBJECTIVES, ONE_OBJECTIVE = "nsga2", "cmaes"


def read_values(flat: Mapping[str, Any], known: Mapping[str, Key], problems: list[str]) -> dict[str, Any]:
    """Reads every value by its key's kind.

    Args:
        flat: Dotted key to value.
        known: The keys of the verb.
        problems: Gets a sentence for each value that cannot be used.

    Returns:
        The values that can.
    """
    values: dict[str, Any] = {}
    for name, value in flat.items():
        kind = known[name].kind
        try:
            values[name] = kind.read(value)
        except ValueError as error:
            came = f", came {value!r}" if not isinstance(value, Mapping | list) else ""
            detail = f" ({error})" if str(error) else ""
            problems.append(f"{name}: expected {kind.expected}{came}{detail}")
    return values


def run_config(flat: Mapping[str, Any], problems: list[str], command: tuple[str, ...] = ()) -> RunConfig:
    """Checks a search's configuration and builds it.

    Args:
        flat: Dotted key to value, for every key of :data:`evomerge.app.keys.SEARCH`.
        problems: What was already found wrong; more is added.
        command: Words that repeat the run.

    Raises:
        InputError: With all problems.
    """
    values = read_values(flat, keys.SEARCH, problems)
    problems += _model_problems(values) + _task_problems(values) + _place_problems(values)
    problems += _method_problems(values) + _genome_problems(values) + _search_problems(values)
    if problems:
        raise InputError(problems)
    top: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if "." not in name
    }
    top["offline"] = _offline(values, [*values["models"], values["base"]])
    return RunConfig(
        **top,
        genome=_section(values, "genome"),
        fitness=_section(values, "fitness"),
        searcher=SearcherChoice(**{**_section(values, "searcher"), "name": _searcher(values)}),
        executor=ExecutorChoice(**_section(values, "executor")),
        model=ModelSettings(**_section(values, "model")),
        budgets=BudgetSettings(**_section(values, "budgets")),
        confirm=ConfirmSettings(**_section(values, "confirm")),
        command=command,
    )


def evaluate_config(flat: Mapping[str, Any], problems: list[str]) -> EvaluateConfig:
    """Checks the configuration of ``evaluate`` and builds it.

    Raises:
        InputError: With all problems.
    """
    _require(flat, ("model",), keys.EVALUATE, problems)
    values = read_values(flat, keys.EVALUATE, problems)
    problems += _task_problems(values)
    if "model" in values:
        problems += [f"model: {problem}" for problem in [sources.missing(values["model"])] if problem]
    if problems:
        raise InputError(problems)
    return EvaluateConfig(
        model=values["model"],
        tasks=values["tasks"],
        task_path=tuple(values["task_path"]),
        split=values["split"],
        items_per_task=values["items_per_task"],
        seed=values["seed"],
        offline=_offline(values, [values["model"]]),
        out=values["out"],
        fitness=_section(values, "fitness"),
        runtime=Runtime(**_section(values, "model")),
    )


def merge_config(flat: Mapping[str, Any], problems: list[str]) -> MergeConfig:
    """Checks the configuration of ``merge`` and builds it.

    Raises:
        InputError: With all problems.
    """
    _require(flat, ("recipe", "out"), keys.MERGE, problems)
    values = read_values(flat, keys.MERGE, problems)
    recipe = Path(values.get("recipe", "")).expanduser()
    if "recipe" in values and not recipe.is_file():
        problems.append(f"recipe: there is no file {values['recipe']}{_sibling(recipe)}")
    return _built(MergeConfig, _with_offline(values, recipe), problems)


def report_config(flat: Mapping[str, Any], problems: list[str]) -> ReportConfig:
    """Checks the configuration of ``report`` and builds it.

    Raises:
        InputError: With all problems.
    """
    _require(flat, ("run",), keys.REPORT, problems)
    values = read_values(flat, keys.REPORT, problems)
    problems += _run_problems(values, "run")
    return _built(ReportConfig, values, problems)


def export_config(flat: Mapping[str, Any], problems: list[str]) -> ExportConfig:
    """Checks the configuration of ``export`` and builds it.

    Raises:
        InputError: With all problems.
    """
    _require(flat, ("run", "member", "out"), keys.EXPORT, problems)
    values = read_values(flat, keys.EXPORT, problems)
    problems += _run_problems(values, "run")
    manifest = Path(values.get("run", "")).expanduser() / "manifest.json"
    return _built(ExportConfig, _with_offline(values, manifest), problems)


def _built(kind: type, values: dict[str, Any], problems: list[str]) -> Any:
    if problems:
        raise InputError(problems)
    return kind(**{name: value for name, value in values.items() if value is not None})


def _require(flat: Mapping[str, Any], names: tuple[str, ...], known: Mapping[str, Key], problems: list[str]) -> None:
    problems += [f"{name}: missing; write {name}=... ({known[name].doc})" for name in names if flat.get(name) is None]


def _section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}


def _model_problems(values: Mapping[str, Any]) -> list[str]:
    refs = {f"models[{index}]": ref for index, ref in enumerate(values.get("models", ()))}
    problems = [] if refs or "models" not in values else ["models: name the models to merge, models=[A,B]"]
    given = [(ref.source, ref.revision) for ref in refs.values()]
    problems += [
        f"models: {source} is given {given.count((source, revision))} times"
        for source, revision in dict.fromkeys(given)
        if given.count((source, revision)) > 1
    ]
    if values.get("base") is not None:
        refs["base"] = values["base"]
    return problems + [f"{name}: {problem}" for name, ref in refs.items() if (problem := sources.missing(ref))]


def _task_problems(values: Mapping[str, Any]) -> list[str]:
    problems = [
        f"task_path: there is no file or folder {entry}{_sibling(Path(sources.resolve(entry)))}"
        for entry in values.get("task_path", ())
        if not Path(sources.resolve(entry)).exists()
    ]
    if "tasks" in values:
        names = [task if isinstance(task, str) else task["task"] for task in values["tasks"]]
        problems += [] if names else ["tasks: name at least one, tasks=[t1,t2]"]
        problems += [f"tasks: {name} is given twice" for name in sorted({n for n in names if names.count(n) > 1})]
    return problems


def _place_problems(values: Mapping[str, Any]) -> list[str]:
    problems = _run_problems(values, "start_from")
    run_dir = values.get("run_dir")
    if run_dir is not None and Path(run_dir).expanduser().is_file():
        problems.append(f"run_dir: {run_dir} is a file; a run needs a folder")
    return problems + [problem for entry in values.get("functions", ()) if (problem := _function_problem(entry))]


def _run_problems(values: Mapping[str, Any], name: str) -> list[str]:
    folder = values.get(name)
    if folder is None or (Path(folder).expanduser() / "manifest.json").is_file():
        return []
    path = Path(folder).expanduser()
    return [f"{name}: {folder} is not a run's folder (it has no manifest.json){_sibling(path)}"]


def _function_problem(entry: str) -> str | None:
    place, colon, name = entry.rpartition(":")
    if not colon or not place.endswith(".py") or not name.isidentifier():
        return f"functions: expected FILE.py:NAME, came {entry!r}"
    path = Path(place).expanduser()
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=place)
    except OSError:
        return f"functions: there is no file {place}{_sibling(path)}"
    except (SyntaxError, ValueError) as error:
        return f"functions: {place} is not Python: {error}"
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return None if name in defined else f"functions: {place} defines no function {name!r}{suggest(name, defined)}"


def _method_problems(values: Mapping[str, Any]) -> list[str]:
    if "method" not in values:
        return []
    from evomerge import methods  # imports torch, which a mistyped name need not wait for

    method = methods.load(values["method"])
    problems: list[str] = []
    try:
        method.resolve(values.get("method_options", {}))
    except InputError as error:
        problems += [f"method_options: {problem}" for problem in error.problems]
    if method.base == "required" and values.get("base", ...) is None:
        problems.append(
            f"base: method {method.name} needs the model that the others were fine-tuned from; set base=..."
        )
    least, most = method.models
    count = len(values.get("models", ()))
    if count and (count < least or (most is not None and count > most)):
        wanted = f"exactly {least}" if least == most else f"at least {least}" if count < least else f"at most {most}"
        problems.append(f"models: method {method.name} merges {wanted} models, came {count}")
    return problems


def _genome_problems(values: Mapping[str, Any]) -> list[str]:
    settings: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in _section(values, "genome").items()
    }
    problems = list(GenomeSettings(**settings).problems())
    for name, ends in settings.get("bounds", {}).items():
        numbers = isinstance(ends, list | tuple) and len(ends) == 2 and all(_is_number(end) for end in ends)
        if not numbers or not ends[0] < ends[1]:
            problems.append(f"genome.bounds.{name}: expected [low, high] with low < high, came {ends!r}")
    for label, fixed in settings.get("fixed", {}).items():
        if not isinstance(fixed, Mapping):
            problems.append(f"genome.fixed.{label}: expected {{coefficient: value}}, came {fixed!r}")
    return problems


def _search_problems(values: Mapping[str, Any]) -> list[str]:
    problems = []
    names = keys.groups()["searcher"]
    name = values.get("searcher.name")
    if name is not None and name not in names:
        problems.append(f"searcher.name: there is no searcher {name!r}{suggest(name, names)} ({', '.join(names)})")
    limits = ("evaluations", "budgets.items", "budgets.seconds", "budgets.patience")
    if all(limit in values and values[limit] is None for limit in limits):
        problems.append(f"evaluations: a search needs an end; set one of {', '.join(limits)}")
    if values.get("executor.name") == "local" and values.get("executor.workers", 1) > 1:
        workers = values["executor.workers"]
        problems.append(f"executor.workers: local is one process; for {workers} write executor=processes")
    if values.get("fitness.fewshot_as_multiturn") and not values.get("fitness.apply_chat_template"):
        problems.append("fitness.fewshot_as_multiturn: turns need fitness.apply_chat_template=true")
    return problems


def _searcher(values: Mapping[str, Any]) -> str:
    if values["searcher.name"] != "auto":
        return values["searcher.name"]
    several = len(values["objectives"] or values["tasks"]) > 1
    return SEVERAL_OBJECTIVES if several else ONE_OBJECTIVE


def _offline(values: Mapping[str, Any], refs: Iterable[Any]) -> bool:
    """Offline as asked; else unless a model is named by hub id, or a task is none of the user's own."""
    if values["offline"] is not None:
        return values["offline"]
    if any(ref is not None and sources.is_hub_id(ref.source) for ref in refs):
        return False
    local = sources.local_tasks(values["task_path"])
    named = [task for task in values["tasks"] if isinstance(task, str)]
    return all(task in local or task.endswith((".yaml", ".yml")) for task in named)


def _with_offline(values: dict[str, Any], file: Path) -> dict[str, Any]:
    """Fills in ``offline`` from the checkpoints that a recipe or a manifest names."""
    if values.get("offline") is not None or not file.is_file():
        return values
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        refs = [ref for ref in [*found["models"], found.get("base")] if ref]
        hub = any(sources.is_hub_id(ref if isinstance(ref, str) else ref["source"]) for ref in refs)
    except (ValueError, KeyError, TypeError):
        hub = False  # whoever reads the file in earnest says what is wrong with it
    return {**values, "offline": not hub}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _sibling(path: Path) -> str:
    """The name beside it that was probably meant."""
    if not path.parent.is_dir():
        return ""
    return suggest(path.name, [entry.name for entry in path.parent.iterdir()])
