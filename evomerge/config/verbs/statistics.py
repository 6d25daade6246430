"""From values by key to the checked configurations of ``statistics list | remove``, and of statistics by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evomerge.config import schema
from evomerge.config.validate import built, read_values, require
from evomerge.config.verbs.mixtures import model_and_texts
from evomerge.run.configs.statistics import CollectConfig, StatisticsFolderConfig
from evomerge.run.statistics import words


def folder_config(flat: Mapping[str, Any], problems: list[str]) -> StatisticsFolderConfig:
    """Checks which statistics are listed or removed; InputError has all problems."""
    values = read_values(flat, schema.STATISTICS, problems)
    problems += words.problems(values)
    return built(StatisticsFolderConfig, values, problems)


def collect_config(flat: Mapping[str, Any], problems: list[str]) -> CollectConfig:
    """Checks which statistics of one model are collected.

    Raises:
        InputError: With all problems.
    """
    require(flat, ("model", "statistic"), schema.COLLECT, problems)
    values = read_values(flat, schema.COLLECT, problems)
    model_and_texts(values, problems)
    return built(CollectConfig, values, problems)
