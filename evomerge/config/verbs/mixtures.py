"""From values by key to the checked configurations of ``build``, ``condense`` and ``layers``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evomerge.config import checks, model_names, schema
from evomerge.config.validate import built, offline, out_problems, read_recipe, read_values, require
from evomerge.run import environment
from evomerge.run.configs.layers import LayersConfig
from evomerge.run.configs.mixtures import PROMPTED, BuildConfig, CondenseConfig
from evomerge.run.paths import expanded, is_file, new_file_problem, new_folder_problem, sibling
from evomerge.run.statistics import words


def build_config(flat: Mapping[str, Any], problems: list[str]) -> BuildConfig:
    """Checks the configuration of ``build`` and builds it.

    Raises:
        InputError: With all problems.
    """
    require(flat, ("experts", "out"), schema.BUILD, problems)
    values = read_values(flat, schema.BUILD, problems)
    base, recipe = values.get("base"), values.get("recipe")
    if (base is None) == (recipe is None):
        problems.append(
            "base: name the model that everything but experts comes from, base=FOLDER, or recipe=FILE for a merge"
            + ("; not both" if base is not None else "")
        )
    if recipe is None:
        values.pop("recipe", None)
    read_recipe(values, problems)
    experts = values.get("experts", ())
    refs = {f"experts[{place}]": ref for place, ref in enumerate(experts)} | ({} if base is None else {"base": base})
    problems += [f"{name}: {problem}" for name, ref in refs.items() if (problem := model_names.missing(ref))]
    problems += _gate_problems(values, len(experts)) + out_problems(values, new_folder_problem)
    problems += words.problems(values)
    local = all(environment.offline_for(model_names.sources_of(ref)) for ref in refs.values())
    values["offline"] = local if values.get("offline") is None else values["offline"] and local
    return built(BuildConfig, values, problems)


def _gate_problems(values: Mapping[str, Any], experts: int) -> list[str]:
    gate, prompts, per_token = (values.get(key) for key in ("gate", "prompts", "per_token"))
    found = []
    if per_token is not None and experts and per_token > experts:
        found.append(f"per_token: {per_token} of {experts} experts; expected at most {experts}")
    if gate == "uniform" and per_token is not None and per_token < experts:
        found.append(f"gate: uniform routers cannot choose {per_token} of {experts} experts; per_token={experts}")
    if gate in PROMPTED and prompts is None:
        found.append(f"prompts: gate={gate} reads some; prompts=FILE.json has a list of objects, one per expert")
    if prompts is not None and not is_file(expanded(prompts)):
        found.append(f"prompts: there is no file {prompts}{sibling(expanded(prompts))}")
    return found


def condense_config(flat: Mapping[str, Any], problems: list[str]) -> CondenseConfig:
    """Checks the configuration of ``condense`` and builds it.

    Raises:
        InputError: With all problems.
    """
    require(flat, ("model", "experts", "out"), schema.CONDENSE, problems)
    values = read_values(flat, schema.CONDENSE, problems)
    model_and_texts(values, problems)
    problems += out_problems(values, new_folder_problem)
    return built(CondenseConfig, values, problems)


def layers_config(flat: Mapping[str, Any], problems: list[str]) -> LayersConfig:
    """Checks the configuration of ``layers`` and builds it.

    Raises:
        InputError: With all problems.
    """
    require(flat, ("model",), schema.LAYERS, problems)
    values = read_values(flat, schema.LAYERS, problems)
    model_and_texts(values, problems)
    problems += out_problems(values, new_file_problem)
    return built(LayersConfig, values, problems)


def model_and_texts(values: dict[str, Any], problems: list[str]) -> None:
    """Adds the problems of a model and of texts for it to look at, and whether the hub is out of bounds."""
    if "model" in values:
        problems += [f"model: {problem}" for problem in [model_names.missing(values["model"])] if problem]
    if values.get("tasks"):
        problems += checks.tasks(values)
    elif "calibration" in values and not values["calibration"]:
        problems.append(
            "calibration: missing; write calibration=[FILE.jsonl], or tasks=[...], whose search items are read"
        )
    problems += words.problems(values)
    if not problems:
        values["offline"] = offline(values, [values["model"]])
