"""Configurations of mergekit-evolve, as searches of ours.

A genome there has a weight, and for some methods a density, for every model in every block of layers, and with filters
for every part of a block. Embeddings take the genes of the first block, the last norm and the head those of the last.
The score is a weighted sum of the tasks' metrics, which CMA-ES maximises from equal weights and density 1.
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
from evomerge.errors import InputError, suggest

TOOL = "mergekit-evolve"
# Its methods, with the options that it leaves to mergekit's defaults.
_METHODS: Mapping[str, Mapping[str, Any]] = {
    "linear": {},
    "task_arithmetic": {},
    "ties": {},
    "dare_ties": {"rescale": "l1"},
    "slerp": {},
}
_NORMALISED = ("linear", "ties", "dare_ties")  # unless they are told otherwise
_BASED = ("task_arithmetic", "ties", "dare_ties")
_WEIGHT = 1.5  # the largest weight that is searched
_EVALUATIONS = 100  # of its command line, --max-fevals


def is_config(data: Any) -> bool:
    """Whether a file's content is a configuration of mergekit-evolve."""
    genome = data.get("genome") if isinstance(data, Mapping) else None
    return isinstance(genome, Mapping) and ("merge_method" in genome or "models" in genome)


def overrides(data: Any, where: str) -> Overrides:
    """Translates a configuration.

    Args:
        data: The content of its file.
        where: The file's name, for messages.

    Raises:
        InputError: With everything in it that no search of ours does.
    """
    problems: list[str] = []
    notes: list[str] = []
    whole = Fields(data, "", problems)
    genome = Fields(whole.get("genome", lambda value: True, "a mapping"), "genome.", problems)
    values = _genome(genome, problems, notes) | _tasks(whole, problems)
    if whole.get("random_init", is_flag, "true or false", False):
        problems.append(
            "random_init is true; a search here begins with known points, such as equal weights. Take it out"
        )
    if whole.get("shuffle", is_flag, "true or false", False):
        notes.append("shuffle: items are drawn by seed here, the same for all candidates, and some are held out")
    chat = whole.get("apply_chat_template", is_flag, "true or false", True)
    turns = whole.get("fewshot_as_multiturn", is_flag, "true or false", True)
    values |= {"fitness.apply_chat_template": chat, "fitness.fewshot_as_multiturn": chat and turns}
    if (limit := whole.get("limit", is_count, "a whole number of at least 1")) is not None:
        values["items_per_task"] = limit
    if (shots := whole.get("num_fewshot", is_whole, "a whole number")) is not None:
        values["fitness.num_fewshot"] = shots
    whole.refuse_others({})
    if problems:
        raise InputError([f"{where}: {problem}" for problem in problems])
    values |= {"searcher": "cmaes", "evaluations": _EVALUATIONS}
    values |= {"model.merge_dtype": "bfloat16", "model.out_dtype": "bfloat16"}
    return Overrides(TOOL, values, tuple(notes))


def _genome(genome: Fields, problems: list[str], notes: list[str]) -> dict[str, Any]:
    models = genome.get("models", is_list, "a list of models", [], needed=True)
    named = [_model(model, f"genome.models[{index}]", problems) for index, model in enumerate(models)]
    base = genome.get("base_model", lambda value: True, "a model")
    base = None if base is None else _model(base, "genome.base_model", problems)
    method = genome.get("merge_method", is_text, "a merge method", needed=True)
    if method is not None and method not in _METHODS:
        known = ", ".join(_METHODS)
        problems.append(f"genome.merge_method is {method!r}{suggest(method, _METHODS)} (it has {known})")
    if method in _BASED and base is None:
        problems.append(f"genome.base_model is missing; {method} takes differences to it")
    if base in named and method != "slerp":
        named = [name for name in named if name != base]
        notes.append(f"genome.models: {base} is the base, whose delta is zero, so it has no genes here")
    tokenizer = genome.get("tokenizer_source", is_text, "base, union or a model")
    tokenizer = "base" if tokenizer is not None and tokenizer in (base, *named[: base is None]) else tokenizer
    if tokenizer not in (None, "base", "union"):
        problems.append(
            f"genome.tokenizer_source is {tokenizer!r}; a search gives candidates the tokens of the base (or, without "
            "one, the first model), or the union of all"
        )
    values: dict[str, Any] = {"models": named, **({} if base is None else {"base": base}), "method": method}
    values |= {} if tokenizer is None else {"tokenizer": tokenizer}
    if method == "slerp":
        return values | _slerp(genome, named, base, problems) | _depth(genome, method, problems)
    return values | _options(genome, method, problems) | _depth(genome, method, problems)


def _options(genome: Fields, method: str | None, problems: list[str]) -> dict[str, Any]:
    normalise = genome.get("normalize", is_flag, "true or false", method in _NORMALISED)
    negative = genome.get("allow_negative_weights", is_flag, "true or false", False)
    values: dict[str, Any] = {
        "method_options": {**_METHODS.get(method or "", {}), "normalise": "weight" if normalise else "none"}
    }
    if normalise and negative:
        problems.append(
            "genome.allow_negative_weights is true while weights are normalised, where only proportions are searched "
            "here; set normalize: false, or leave negative weights out"
        )
    if not normalise:
        values["genome.bounds"] = {"weight": [-_WEIGHT if negative else 0.0, _WEIGHT]}
    elif method in _BASED:
        values["genome.fixed"] = {"*": {"lambda": 1.0}}
    return values


def _slerp(genome: Fields, named: list[Any], base: Any, problems: list[str]) -> dict[str, Any]:
    for name in ("normalize", "allow_negative_weights"):
        genome.get(name, is_flag, "true or false")  # without effect there too
    if len(named) != 2:
        problems.append(
            f"genome.models names {len(named)}; slerp there picks two of them in every block, and here merges exactly "
            "two. Name two"
        )
    if base is not None and base not in named:
        problems.append(f"genome.base_model is {base!r}, which is none of genome.models; slerp merges two models alone")
    ordered = sorted(named, key=lambda name: name != base)
    return {"models": ordered, "base": None}


def _depth(genome: Fields, method: str | None, problems: list[str]) -> dict[str, Any]:
    size = genome.get("layer_granularity", _is_integer, "a whole number", 0)
    smooth = genome.get("smooth", is_flag, "true or false", False)
    filters = genome.get("filters", is_texts, "a list of parts of tensor names", [])
    genome.refuse_others({})
    if method == "slerp" and (smooth or filters):
        problems.append("genome: slerp there takes neither smooth nor filters; leave them out")
    values: dict[str, Any] = {"genome.own_groups": []} | ({"genome.filters": list(filters)} if filters else {})
    if size < 1:
        return {"genome": "model", **values}
    if smooth:
        return {"genome": "smooth", "genome.control_every": size, "genome.ends": "nearest", **values}
    return {"genome": "blocks", "genome.block_size": size, "genome.ends": "nearest", **values}


def _model(value: Any, where: str, problems: list[str]) -> Any:
    """A model as our key takes it."""
    if is_text(value):
        return value
    inner = value.get("model") if isinstance(value, Mapping) else None
    if isinstance(inner, str) and set(value) <= {"model"}:
        return inner
    if isinstance(inner, Mapping) and is_text(inner.get("path")) and set(value) <= {"model"}:
        revision = inner.get("revision")
        return {"source": inner["path"], "revision": revision} if revision else inner["path"]
    problems.append(f"{where} is {shown(value)}; expected a folder or a hub id")
    return shown(value)


def _tasks(whole: Fields, problems: list[str]) -> dict[str, Any]:
    """Tasks, and the one objective that they add up to."""
    entries = whole.get("tasks", is_list, "a list of tasks", [], needed=True)
    names: list[str] = []
    terms: list[str] = []
    for index, entry in enumerate(entries):
        task = Fields({"name": entry} if isinstance(entry, str) else entry, f"tasks[{index}].", problems)
        name = task.get("name", is_text, "the name of a task", needed=True)
        weight = task.get("weight", _is_weight, "a number other than 0", 1.0)
        metric = task.get("metric", is_text, "a metric such as acc,none", "acc,none")
        task.refuse_others({})
        if name is not None:
            names += [] if name in names else [name]
            key = metric_key(name, metric)
            terms.append(key if weight == 1 else f"{weight!r}*{key}")
    return {"tasks": names, "objectives": [" + ".join(terms)]} if terms else {}


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_weight(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value != 0 and abs(value) < 1e300
