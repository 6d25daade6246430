"""Hydra's multirun: its sweeper forms the jobs of a sweep and its launcher starts them, so launcher plug-ins work."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig

from evomerge.config import compose, groups
from evomerge.config.sweep import Job, values_of

_RAISE = "HYDRA_FULL_ERROR"


@dataclass(frozen=True)
class Task:
    """The function that Hydra's launchers call once per job.

    A value, not a closure: launchers pickle it, and call it in processes of their own.

    Attributes:
        run_job: Runs one job and returns its exit code.
        by_values: Job by :attr:`~evomerge.config.sweep.Job.values`.
    """

    run_job: Callable[[Job], int]
    by_values: Mapping[str, Job]

    def __call__(self, _: Any) -> int:
        """Runs the job that Hydra has come to and returns its exit code."""
        return self.run_job(self.by_values[values_of(HydraConfig.get().overrides.task)])


def launch(run_job: Callable[[Job], int], jobs: Sequence[Job], words: Sequence[str]) -> str:
    """Launches all jobs.

    Args:
        run_job: Runs one job and returns its exit code; picklable, as a launcher may call it in another process.
        jobs: The jobs, as planned.
        words: Words that make Hydra form the same jobs, from :func:`evomerge.config.sweep.plan`.

    Returns:
        Why the launcher failed; empty where it came to its end, however its jobs ended.
    """
    task = Task(run_job, {job.values: job for job in jobs})
    compose.register()
    before = sys.argv
    sys.argv = ["evomerge", "--multirun", *words]  # Hydra takes its words from there alone
    try:
        with _raising():
            hydra.main(version_base="1.3", config_path=str(groups.conf_folder()), config_name=compose.CONFIG)(task)()
    except SystemExit as end:
        return f"it ended with code {end.code}"
    except Exception as error:  # a launcher is somebody else's program and may raise anything
        return f"{type(error).__name__}: {error}"
    finally:
        sys.argv = before
    return ""


@contextmanager
def _raising() -> Iterator[None]:
    """While it is entered, Hydra hands errors on, instead of printing where they were and ending the process."""
    before = os.environ.get(_RAISE)
    os.environ[_RAISE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_RAISE]
        else:
            os.environ[_RAISE] = before
