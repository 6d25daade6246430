"""Configurations of Mergenetic, as searches of ours.

There are two kinds of runs. With one task beside a base, two models are interpolated on spheres: five values of ``t``
over depth for attention, five for the MLP and one for the rest, found by a genetic algorithm. With several tasks, each
model has a weight and a density of DARE-TIES for its whole depth, and NSGA-II looks for the front of the tasks' scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evomerge.dialects.overrides import (
    Fields,
    Overrides,
    is_count,
    is_flag,
    is_list,
    is_text,
    is_texts,
    is_whole,
    metric_key,
    shown,
)
from evomerge.errors import InputError

TOOL = "Mergenetic"
_DTYPES = ("float32", "bfloat16", "float16")
_CSV = "its own data files and judges are not read here; name lm-eval tasks under tasks"
_REMEDIES = {"datasets": _CSV, "custom_prompt_template": "write an lm-eval task with that prompt"}
# Fields that say how it keeps files and runs models, of which nothing is left to say here.
_IDLE: Mapping[str, str] = {
    "path_to_store_merged_model": "no candidate is written to disk",
    "bench": "only its estimators read it",
    "task_type": "lm-eval's tasks say how they are judged",
    "eager_mode": "models run in transformers",
    "force_evaluation": "answers are kept by item, and asked once",
}


def is_config(data: Any) -> bool:
    """Whether a file's content is a configuration of Mergenetic."""
    return isinstance(data, Mapping) and {"pop_size", "n_iter"} <= set(data)


def overrides(data: Any, where: str) -> Overrides:
    """Translates a configuration.

    Args:
        data: The content of its file.
        where: The file's name, for messages.

    Raises:
        InputError: With everything in it that no search of ours does.
    """
    problems: list[str] = []
    fields = Fields(data, "", problems)
    notes: list[str] = []
    values = _merge(fields, problems, notes) | _run(fields, problems)
    notes += [f"{name}: {why}" for name, why in _IDLE.items() if fields.has(name)]
    for name in _IDLE:
        fields.get(name, lambda value: True, "")
    fields.refuse_others(_REMEDIES)
    if problems:
        raise InputError([f"{where}: {problem}" for problem in problems])
    return Overrides(TOOL, values, tuple(notes))


def _merge(fields: Fields, problems: list[str], notes: list[str]) -> dict[str, Any]:
    """Models, tasks, and the way from one to several of them."""
    base = fields.get("base_model", is_text, "a model", needed=True)
    models = fields.get("models", _is_models, "a list of models, or models by language", {}, needed=True)
    languages = fields.get("langs", is_list, "a list of languages")
    by_language = models if isinstance(models, Mapping) else {}
    chosen = [str(name) for name in languages or by_language]
    named = list(models) if isinstance(models, list) else [by_language[name] for name in chosen if name in by_language]
    problems += [f"models has none for {name!r} of langs" for name in chosen if by_language and name not in by_language]
    tasks = _tasks(fields, chosen, problems)
    metric = fields.get("metric", is_text, "a metric such as acc", "acc")
    values: dict[str, Any] = {"tasks": tasks, "objectives": [metric_key(task, metric) for task in tasks]}
    if len(tasks) == 1 and len(named) == 1:
        notes.append("t: its one value for all that is neither attention nor MLP is here one for norms, one for others")
        values |= {"models": [base, *named], "method": "slerp", "searcher": "ga", "genome": "smooth"}
        return values | {
            "genome.control_points": 5, "genome.filters": ["self_attn", "mlp"], "genome.own_groups": ["norm"],
        }  # fmt: skip
    experts = [name for name in named if name != base]
    if len(experts) < len(named):
        notes.append(f"models: {base} is the base, whose delta is zero, so it has no genes here")
    values |= {"models": experts, "base": base, "method": "dare_ties", "genome": "model", "genome.own_groups": []}
    values |= {"method_options": {"rescale": "l1", "normalise": "none"}, "genome.bounds": {"weight": [0.0, 1.0]}}
    return values | {"searcher": "nsga2" if len(tasks) > 1 else "ga"}


def _tasks(fields: Fields, languages: list[str], problems: list[str]) -> list[str]:
    found = fields.get("tasks", lambda value: isinstance(value, list | Mapping), "tasks of lm-eval", needed=True)
    if isinstance(found, list):
        problems += [] if is_texts(found) and found else [f"tasks is {shown(found)}; expected names of tasks"]
        return list(dict.fromkeys(map(str, found)))
    search: Any = found.get("search") if found else None
    if found is None or not _is_named(search):
        problems += [] if found is None else [f"tasks.search is {shown(search)}; expected tasks by language"]
        return []
    test = found.get("test")
    other = [f"tasks.{key}" for key in found if key not in ("search", "test")]
    problems += [f"unsupported key {key}" for key in other]
    for name, task in test.items() if isinstance(test, Mapping) else ():
        if task != search.get(name, task):
            problems.append(
                f"tasks.test.{name} is {task!r}, and tasks.search.{name} {search[name]!r}; here some items of the "
                "search's own task are held out. Name one task"
            )
    problems += [f"tasks.search has none for {name!r} of langs" for name in languages if name not in search]
    return list(dict.fromkeys(str(search[name]) for name in languages if name in search))


def _run(fields: Fields, problems: list[str]) -> dict[str, Any]:
    """Population, items, files and the device."""
    population = fields.get("pop_size", is_count, "a whole number of at least 1", 1)
    generations = fields.get("n_iter", is_count, "a whole number of at least 1", 1)
    values: dict[str, Any] = {
        "searcher.population": population,
        "evaluations": population * generations,
        "items_per_task": fields.get("n_samples", is_count, "a whole number of at least 1", 20),
        "seed": fields.get("seed", is_whole, "a whole number", 420),
    }
    dtype = fields.get("dtype", lambda value: value in _DTYPES, f"one of {', '.join(_DTYPES)}", "bfloat16")
    values |= {"model.merge_dtype": dtype, "model.out_dtype": dtype}
    if device := fields.get("device", is_text, "a device such as cuda:0"):
        values["model.device"] = device
    if batch := fields.get("eval_batch_size", is_count, "a whole number of at least 1"):
        values["fitness.batch_size"] = batch
    if folder := fields.get("additional_templates_folder", is_text, "a folder"):
        values["task_path"] = [folder]
    place, name = (fields.get(key, is_text, "a text") for key in ("path_to_store_config", "run_id"))
    if place and name:
        values["run_dir"] = f"{place.rstrip('/')}/{name}"
    mode = fields.get("mode", is_text, "mean", "mean")
    if mode != "mean":
        problems.append(
            f"mode is {mode!r}, an estimate by item response theory; scores here are means over the items. Write "
            "mode: mean, or take it out"
        )
    if fields.get("load_in_4bit", is_flag, "true or false", False):
        problems.append("load_in_4bit is true; candidates are scored as they are exported. Take it out")
    return values


def _is_models(value: Any) -> bool:
    return (is_texts(value) and bool(value)) or _is_named(value)


def _is_named(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(map(is_text, value.values()))
