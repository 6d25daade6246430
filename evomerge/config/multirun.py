"""Hydra's multirun: its sweeper forms the jobs of a sweep and its launcher starts them, so launcher plug-ins work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig

from evomerge.config import compose, groups
from evomerge.config.sweep import Job, values_of


def launch(run_job: Callable[[Job], int], jobs: Sequence[Job], words: Sequence[str]) -> None:
    """Launches all jobs.

    Args:
        run_job: Runs one job and returns its exit code.
        jobs: The jobs, as planned.
        words: Words that make Hydra form the same jobs, from :func:`evomerge.config.sweep.plan`.
    """
    by_values = {job.values: job for job in jobs}

    def task(_: Any) -> int:
        return run_job(by_values[values_of(HydraConfig.get().overrides.task)])

    compose.register()
    before = sys.argv
    sys.argv = ["evomerge", "--multirun", *words]  # Hydra takes its words from there alone
    try:
        hydra.main(version_base="1.3", config_path=str(groups.conf_folder()), config_name=compose.CONFIG)(task)()
    finally:
        sys.argv = before
