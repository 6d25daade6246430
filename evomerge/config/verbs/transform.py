"""The configuration of ``transform``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evomerge.config import checks, model_names, schema
from evomerge.config.validate import built, fill_base, out_problems, read_values, require
from evomerge.run import environment
from evomerge.run.configs.verbs import TransformConfig
from evomerge.run.paths import expanded, is_file, new_folder_problem, sibling


def transform_config(flat: Mapping[str, Any], problems: list[str]) -> TransformConfig:
    """Checks the configuration of ``transform`` and builds it.

    Raises:
        InputError: With all problems.
    """
    require(flat, ("kind", "models", "out"), schema.TRANSFORM, problems)
    values = read_values(flat, schema.TRANSFORM, problems)
    problems += fill_base(values)
    problems += checks.models(values) + out_problems(values, new_folder_problem)
    files = [*values.get("calibration", ()), *map(str, (values.get("calibration_of") or {}).values())]
    problems += [
        f"calibration: there is no file {file}{sibling(expanded(file))}"
        for file in files
        if not is_file(expanded(file))
    ]
    if not problems and values["offline"] is None:
        refs = [*values["models"], *([values["base"]] if values["base"] is not None else [])]
        values["offline"] = environment.offline_for(place for ref in refs for place in model_names.sources_of(ref))
    return built(TransformConfig, values, problems)
