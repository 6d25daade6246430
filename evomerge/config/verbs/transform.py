"""The configuration of ``transform``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evomerge.config import checks, schema
from evomerge.config.validate import built, fill_base, offline, out_problems, read_values, require
from evomerge.run.configs.verbs import TransformConfig
from evomerge.run.paths import new_folder_problem
from evomerge.run.statistics import words


def transform_config(flat: Mapping[str, Any], problems: list[str]) -> TransformConfig:
    """Checks the configuration of ``transform`` and builds it.

    Raises:
        InputError: With all problems.
    """
    require(flat, ("kind", "models", "out"), schema.TRANSFORM, problems)
    values = read_values(flat, schema.TRANSFORM, problems)
    problems += fill_base(values)
    problems += checks.models(values) + out_problems(values, new_folder_problem)
    problems += words.texts(values) + words.folder(values)
    if values.get("tasks"):
        problems += checks.tasks(values)
    if not problems:
        values["offline"] = offline(values, [*values["models"], values["base"]])
    return built(TransformConfig, values, problems)
