"""MLflow: a database in the run's folder, or any store that its address names."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from evomerge.options import Option
from evomerge.tracking._shared.clean_names import CleanNames
from evomerge.tracking._shared.protocol import STEP, Entry, TrackedRun, Tracker
from evomerge.tracking._shared.spec import TrackerSpec

__all__ = ["TRACKER", "MLflow"]

_ENVIRONMENT, _VARIABLE = "environment", "MLFLOW_TRACKING_URI"
_ID = "evomerge.id"  # the tag by which a later session finds its run
_METRICS, _PARAMS, _LENGTH = 1000, 100, 6000  # what a store takes in one call, and of one parameter


class MLflow:
    """Metrics by number of evaluations, the configuration as parameters, the report as artefacts.

    Args:
        run: The run.
        options: As declared.
    """

    def __init__(self, run: TrackedRun, options: Mapping[str, Any]) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # else it reports to its makers
        from mlflow import entities
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._entities = entities
        self._clean = CleanNames(r"[^-/\w. :]")
        own = options["uri"] is None
        named = os.environ.get(_VARIABLE) if options["uri"] == _ENVIRONMENT else options["uri"]
        if not own and not named:
            raise ValueError(f"{_VARIABLE} is not set")
        self._client = MlflowClient(tracking_uri=f"sqlite:///{run.folder}/mlflow.db" if own else named)
        experiment = self._client.get_experiment_by_name(options["experiment"])
        place = (run.folder / "artifacts").as_uri() if own else None
        where = (
            experiment.experiment_id
            if experiment is not None
            else self._client.create_experiment(options["experiment"], artifact_location=place)
        )
        found = self._client.search_runs([where], f"tags.`{_ID}` = '{run.id}'")
        made = found[0] if found else self._client.create_run(where, tags={_ID: run.id}, run_name=run.name)
        self._run = made.info.run_id
        self._held = dict(made.data.metrics)
        self._client.update_run(self._run, status="RUNNING")
        self._configure(run.config, made.data.params)

    def last(self) -> int:
        """The last step; the store keeps an entry whole or not at all."""
        return int(self._held.get(STEP, -1))

    def log(self, entries: Sequence[Entry]) -> None:
        """Logs entries, as many at a time as the store takes."""
        waiting: list[Any] = []
        for entry in entries:
            if len(waiting) + len(entry.values) > _METRICS:
                self._client.log_batch(self._run, metrics=waiting)
                waiting = []
            waiting += [self._metric(name, value, entry.step, entry.time) for name, value in entry.values.items()]
        self._client.log_batch(self._run, metrics=waiting)

    def conclude(self, step: int, values: Mapping[str, float], files: Sequence[Path]) -> None:
        """Logs values that are not the last of their name already, and puts the report in the place of an older one."""
        now = max((path.stat().st_mtime for path in files), default=0.0)
        new = {name: value for name, value in values.items() if self._held.get(self._clean(name)) != value}
        metrics = [self._metric(name, value, step, now) for name, value in new.items()]
        for start in range(0, len(metrics), _METRICS):
            self._client.log_batch(self._run, metrics=metrics[start : start + _METRICS])
        for path in files:
            self._client.log_artifact(self._run, str(path), "report")

    def close(self) -> None:
        """Marks the run as finished, for the time being."""
        self._client.set_terminated(self._run, "FINISHED")

    def _configure(self, config: Mapping[str, Any], held: Mapping[str, str]) -> None:
        """Logs the configuration; parameters never change, so what a later session sets otherwise becomes a tag."""
        texts = {self._clean(name): str(value)[:_LENGTH] for name, value in config.items()}
        new = [self._entities.Param(name, text) for name, text in texts.items() if name not in held]
        for start in range(0, len(new), _PARAMS):
            self._client.log_batch(self._run, params=new[start : start + _PARAMS])
        for name, text in texts.items():
            if held.get(name, text) != text:
                self._client.set_tag(self._run, f"now.{name}", text)

    def _metric(self, name: str, value: float, step: int, time: float) -> Any:
        return self._entities.Metric(self._clean(name), value, int(time * 1000), step)


def check(options: Mapping[str, Any]) -> list[str]:
    """Secrets in an address: a run's configuration is in its files, in its report, and in all trackers."""
    try:
        secret = urlsplit(options["uri"] or "").password is not None
    except ValueError as error:
        return [f"option uri is no address: {error}"]
    if not secret:
        return []
    return [
        "option uri holds a password, which the run's files, its report and all trackers would show; set "
        f"MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead, or {_VARIABLE} and write uri={_ENVIRONMENT}"
    ]


def make(run: TrackedRun, options: Mapping[str, Any]) -> Tracker:
    """Makes the tracker."""
    return MLflow(run, options)


TRACKER = TrackerSpec(
    name="mlflow",
    title="MLflow, in the run's folder unless uri names another store: "
    "mlflow ui --backend-store-uri sqlite:///RUN/tracking/mlflow/mlflow.db",
    make=make,
    library="mlflow",
    install="pip install 'evomerge[mlflow]'",
    check=check,
    options={
        "uri": Option(
            None,
            None,
            str,
            f"address of the store; {_ENVIRONMENT}: the one in {_VARIABLE}; none: a database in the run's folder, and "
            "no network",
        ),
        "experiment": Option("evomerge", None, str, "the experiment"),
    },
)
