"""Checks of a configuration as a whole, beyond the kind of each value; only small files are opened."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evomerge import executors, tracking
from evomerge.analysis import estimators
from evomerge.config import model_names
from evomerge.errors import InputError, suggest
from evomerge.executors import ExecutorSettings
from evomerge.genome import GenomeSettings, is_number
from evomerge.run.attach import WORK
from evomerge.run.paths import EXAMPLE, expanded, folder_problem, is_file, is_folder, resolve, sibling, there
from evomerge.run.statistics import words
from evomerge.search import AllocationSettings, searchers
from evomerge.search.searchers import SearcherSettings
from evomerge.settings import declared
from evomerge.store import is_sweep

# Algorithms that `searcher=auto` stands for.
SEVERAL_OBJECTIVES, ONE_OBJECTIVE = "nsga2", "cmaes"
ONE_OBJECTIVE_ASYNCHRONOUS = "ga"
# Options of executors that a run fills in.
_FILLED = {"device": "write model.device", "folder": "it is in the run's folder; leave it out"}


def section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The keys below a section, without its name."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}


def searcher(values: Mapping[str, Any]) -> str:
    """The algorithm's name; what ``auto`` stands for follows from the number of objectives."""
    if values["searcher.name"] != "auto":
        return values["searcher.name"]
    several = len(values["objectives"] or values["tasks"] or values["functions"]) > 1
    one = ONE_OBJECTIVE_ASYNCHRONOUS if values.get("mode") == "asynchronous" else ONE_OBJECTIVE
    return SEVERAL_OBJECTIVES if several else one


def models(values: Mapping[str, Any]) -> list[str]:
    """The models' and the base's folders."""
    refs = {f"models[{index}]": ref for index, ref in enumerate(values.get("models", ()))}
    problems = [] if refs or "models" not in values else ["models: name the models to merge, models=[A,B]"]
    given = [ref.place for ref in refs.values()]
    problems += [
        f"models: {place[0]} is given {given.count(place)} times"
        for place in dict.fromkeys(given)
        if given.count(place) > 1
    ]
    if values.get("base") is not None:
        refs["base"] = values["base"]
    return problems + [f"{name}: {problem}" for name, ref in refs.items() if (problem := model_names.missing(ref))]


def tasks(values: Mapping[str, Any]) -> list[str]:
    """Tasks, the places they come from, and what prompts are made of."""
    problems = [
        f"task_path: there is no file or folder {entry}{sibling(Path(resolve(entry)))}"
        for entry in values.get("task_path", ())
        if not there(Path(resolve(entry)))
    ]
    if "tasks" in values:
        names = [task if isinstance(task, str) else task["task"] for task in values["tasks"]]
        problems += [
            f"tasks: {name} is a place, not a task; write task_path=[{name}] and tasks=[...] with tasks from there"
            for name in names
            if name.startswith(EXAMPLE)
        ]
        alone = ", or score by functions alone, functions=[FILE.py:NAME]" if "functions" in values else ""
        problems += [] if names or values.get("functions") else [f"tasks: name at least one, tasks=[t1,t2]{alone}"]
        problems += [f"tasks: {name} is given twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if values.get("fitness.fewshot_as_multiturn") and not values.get("fitness.apply_chat_template"):
        problems.append("fitness.fewshot_as_multiturn: turns need fitness.apply_chat_template=true")
    return problems


def split(values: Mapping[str, Any]) -> list[str]:
    """The split whose items are asked."""
    name = values.get("split")
    if values.get("fitness.splits", {}).get(name) != 0:
        return []
    return [f"split: {name} has no items, as fitness.splits gives it none of them; name another, or all"]


def places(values: Mapping[str, Any]) -> list[str]:
    """Folders and files of a run."""
    problems = run_folder(values, "start_from")
    if values.get("run_dir") is not None:
        problem = folder_problem(expanded(values["run_dir"]))
        problems += [f"run_dir: {problem}"] if problem else []
    return problems + [problem for entry in values.get("functions", ()) if (problem := _function_problem(entry))]


def run_folder(values: Mapping[str, Any], name: str) -> list[str]:
    """A folder that must hold a run, under some key."""
    folder = values.get(name)
    if folder is None or is_file(expanded(folder) / "manifest.json"):
        return []
    path = expanded(folder)
    if not there(path):
        return [f"{name}: {folder} is not there; expected a run's folder{sibling(path)}"]
    why = "it is a file" if is_file(path) else "it has no manifest.json"
    return [f"{name}: {folder} is not a run's folder ({why}){sibling(path)}"]


def shared_run(values: Mapping[str, Any]) -> list[str]:
    """The folder of a run that a worker joins: one that has begun, or that a submission has made."""
    folder = values.get("run")
    if folder is not None and is_file(expanded(folder) / WORK / "config.json"):
        return []
    return run_folder(values, "run")


def run_or_sweep(values: Mapping[str, Any]) -> list[str]:
    """The folder of a run, or of the runs of a sweep."""
    if _is_sweep(values):
        return ["prefer: picks a member of one run; leave it out for a sweep"] if values.get("prefer") else []
    return run_folder(values, "run")


def any_run(values: Mapping[str, Any]) -> list[str]:
    """The same, or the folder of a run that has been submitted and not begun."""
    return [] if _is_sweep(values) else shared_run(values)


def _is_sweep(values: Mapping[str, Any]) -> bool:
    folder = values.get("run")
    return folder is not None and is_folder(expanded(folder)) and is_sweep(expanded(folder))


def _function_problem(entry: str) -> str | None:
    place, colon, name = entry.rpartition(":")
    if not colon or not place.endswith(".py") or not name.isidentifier():
        return f"functions: expected FILE.py:NAME, came {entry!r}"
    path = expanded(place)
    if not is_file(path):
        return f"functions: there is no file {place}{sibling(path)}"
    try:
        # Of bytes, as Python reads a file: it may begin with a byte-order mark, or name its encoding.
        tree = ast.parse(path.read_bytes())
    except OSError as error:
        return f"functions: {place} cannot be read: {error.strerror or error}"
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"functions: {place} is not Python: {error}"
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return None if name in defined else f"functions: {place} defines no function {name!r}{suggest(name, defined)}"


def known_method(values: Mapping[str, Any]) -> list[str]:
    """Why ``name`` is no merge method, and no step after a merge."""
    if values.get("name") is None:
        return []
    from evomerge import methods, post  # import torch, which other verbs need not wait for

    name, known = values["name"], (*methods.names(), *post.names())
    return [] if name in known else [f"name: there is no merge method or step {name!r}{suggest(name, known)}"]


def method(values: Mapping[str, Any]) -> list[str]:
    """The method's options, its base, and how many models it merges."""
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
    if values.get("recipe") is not None:
        return problems  # the recipe says what each tensor is merged from
    least, most = method.models
    count = len(values.get("models", ()))
    if (most is None or most > 1) and values.get("searcher.name") in searchers.names():
        # One that chooses among models merges as many of them at a time as the method takes.
        most = None if searchers.load(values["searcher.name"]).recipes else most
    if count and (count < least or (most is not None and count > most)):
        wanted = f"exactly {least}" if least == most else f"at least {least}" if count < least else f"at most {most}"
        noun = "model" if most == 1 else "models"
        problems.append(f"models: method {method.name} merges {wanted} {noun}, came {count}")
    if count and not problems:
        options = method.resolve(values.get("method_options", {}))
        problems += [f"method_options: {problem}" for problem in method.count_problems(count, options)]
    return problems


def post(values: Mapping[str, Any]) -> list[str]:
    """The steps after the merge, the base that they take off, and values that are given twice."""
    if not values.get("post"):
        return []
    from evomerge.run.recipes.steps import problems  # imports torch, as methods do

    everywhere = values.get("genome.fixed", {}).get("*", {})
    return problems(
        values["post"],
        based=values.get("base", ...) is not None,
        searched=bool(values.get("recipe")),
        models=len(values.get("models", ())),
        fixed=everywhere if isinstance(everywhere, Mapping) else {},  # said elsewhere
    )


def genome(values: Mapping[str, Any]) -> list[str]:
    """The search space, as far as it can be told without a model."""
    settings = section(values, "genome")
    problems = list(GenomeSettings(**settings).problems())
    for name, ends in settings.get("bounds", {}).items():
        numbers = isinstance(ends, list | tuple) and len(ends) == 2 and all(map(is_number, ends))
        if not numbers or not ends[0] < ends[1]:
            problems.append(f"genome.bounds.{name}: expected [low, high] with low < high, came {ends!r}")
    for label, fixed in settings.get("fixed", {}).items():
        if not isinstance(fixed, Mapping):
            problems.append(f"genome.fixed.{label}: expected {{coefficient: value}}, came {fixed!r}")
    return problems


def search(values: Mapping[str, Any]) -> list[str]:
    """Algorithm, budgets and executor."""
    problems = _searcher_problems(values) + _allocation_problems(values) + _mode_problems(values)
    limits = ("evaluations", "budgets.items", "budgets.seconds", "budgets.patience")
    if all(limit in values and values[limit] is None for limit in limits):
        problems.append(f"evaluations: a search needs an end; set one of {', '.join(limits)}")
    if values.get("budgets.items") is not None and values.get("tasks") == ():
        problems.append("budgets.items: counts the items of tasks, and there are none; set evaluations")
    if values.get("promote.allocation") == "ocba" and values.get("promote.candidates") == 0:
        problems.append("promote.allocation: ocba shares out what is compared, and promote.candidates=0 is nothing")
    if "executor.name" in values:
        spec, options = executors.load(values["executor.name"]), values.get("executor.options", {})
        problems += spec.misplaced(_executor(values))
        device = {"device": values.get("model.device", "auto")} if "device" in spec.options else {}
        filled = [f"executor.options.{name}: {text}" for name, text in _FILLED.items() if name in options]
        problems += filled or spec.problems({**options, **device})
    problems += tracking.problems(values.get("tracking", ()), values.get("tracking_options", {}))
    return problems


def _executor(values: Mapping[str, Any]) -> ExecutorSettings:
    """The chosen executor; what was unreadable, as has been said, has its default."""
    return ExecutorSettings(**section(values, "executor"))


def _searcher_problems(values: Mapping[str, Any]) -> list[str]:
    if not {"searcher.name", "objectives", "tasks"} <= set(values):
        return []  # unreadable, as has been said
    name = searcher(values)
    settings = SearcherSettings(values.get("searcher.population"), 0, values.get("searcher.options", {}))
    try:
        problems = searchers.load(name).problems(settings)
        count = len(values.get("objectives", ()))
        return problems or (searchers.misfit(name, count, len(values.get("measures", ())) or None) if count else [])
    except InputError as error:
        return list(error.problems)


def _allocation_problems(values: Mapping[str, Any]) -> list[str]:
    settings = section(values, "allocation")
    if len(settings) < len(declared(AllocationSettings)):
        return []  # unreadable, as has been said
    allocation = AllocationSettings(**settings)
    problems = allocation.problems()
    if values.get("tasks") == () and not allocation.plain:
        problems.append("allocation: chooses among the items of tasks, and there are none; leave it out")
    models = values.get("models", ())
    if not problems and models and len(models) < (least := estimators.load(allocation.estimator).experts):
        problems.append(
            f"allocation.estimator: {allocation.estimator} needs {least} models or more, came {len(models)}"
        )
    return problems


def _mode_problems(values: Mapping[str, Any]) -> list[str]:
    """Whether what was chosen can do without batches."""
    if values.get("mode") != "asynchronous" or not {"searcher.name", "objectives", "tasks", "functions"} <= set(values):
        return []
    problems = []
    count = len(values["objectives"] or values["tasks"] or values["functions"])
    name = searcher(values)
    if count and not searchers.misfit(name, count, len(values.get("measures", ())) or None):
        problems += [f"mode: asynchronous, but {problem}" for problem in searchers.unsteady(name, count)]
    settings = section(values, "allocation")
    if len(settings) == len(declared(AllocationSettings)) and not AllocationSettings(**settings).plain:
        problems.append(
            "mode: asynchronous, but allocation asks the candidates of a batch some items, and there are no batches; "
            "leave allocation and fitness out, or write fitness=all, so that every candidate is asked all items"
        )
    return problems


OF_SEARCH = (models, tasks, places, words.problems, method, post, genome, search)
