"""The state of a run from its folder: from ``status.json``, and where that says less, from its records."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evomerge.errors import InputError
from evomerge.evaluation import SCALED, Constraint, Objective
from evomerge.run.cluster import sharing
from evomerge.run.status.driver import Driver, driver_of, joined
from evomerge.search import STATUS, AtRound, Criteria
from evomerge.search.front import Front
from evomerge.store import RunStore, baselines, candidates, read_json, read_manifest

__all__ = ["AtWork", "RunState", "state_of"]


@dataclass(frozen=True)
class AtWork:
    """A worker as its driver said last.

    Attributes:
        name: Its name.
        place: Host and device.
        job: The place that its candidate was asked in, for people; None where it has none.
        candidate: The beginning of the candidate's digest; empty where it has none.
        seconds: Since it took the candidate, or fell idle.
        done: Jobs that ended with it in this session.
        busy: Seconds at jobs in this session.
        ready: Whether it is made.
    """

    name: str
    place: str
    job: str | None
    candidate: str
    seconds: float
    done: int
    busy: float
    ready: bool


@dataclass(frozen=True)
class RunState:
    """The state of a run.

    Attributes:
        folder: Its folder.
        state: ``running``, ``finished``, ``ended`` (orderly, before its end), ``gone`` (its driver ended without a
            word), ``waiting`` (of a run that workers share: it is not over, and nobody drives it just now) or ``new``
            (nothing has begun).
        driver: Who drives it; None where nobody does.
        silent: Seconds since the driver wrote its status, which it does every ten seconds; None where it never did.
        phase: The phase that it is in, or was.
        reason: Why the last session ended; None while it runs, or where nobody could say.
        done: Evaluations of the phase.
        total: Evaluations there will be in the phase, or None.
        round: The round that the search is in, or was in last; None where it has none, or none yet.
        evaluations: Candidates scored.
        items: Items that candidates were asked; None where that is not known.
        seconds: Wall seconds of all sessions.
        budgets: The limits that are set, by name.
        rate: Evaluations per second in this session, or None.
        remaining: Expected seconds until the end of the phase, or None.
        best: Objective to the best score of a feasible candidate.
        hypervolume: Volume of score space that the front dominates, from the worst baseline on; None of one objective.
        failures: Kind of failure to how many.
        retried: Attempts beyond the first.
        workers: Who is at what; empty where nobody drives.
        joined: Workers of a shared run that nobody drives just now, each of which may drive it next.
        refused: Why the last driver was refused where nobody drives since, with its machine; empty else.
    """

    folder: str
    state: str = "new"
    driver: Driver | None = None
    silent: float | None = None
    phase: str = ""
    reason: str | None = None
    done: int = 0
    total: int | None = None
    round: AtRound | None = None
    evaluations: int = 0
    items: int | None = None
    seconds: float = 0.0
    budgets: Mapping[str, float] | None = None
    rate: float | None = None
    remaining: float | None = None
    best: Mapping[str, float] | None = None
    hypervolume: float | None = None
    failures: Mapping[str, int] | None = None
    retried: int = 0
    workers: Sequence[AtWork] = ()
    joined: int = 0
    refused: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """All fields as a JSON object."""
        return asdict(self)


def state_of(folder: Path) -> RunState:
    """Looks at a run; changes nothing.

    Raises:
        InputError: If the folder holds a damaged run.
    """
    if not (folder / "manifest.json").exists():
        return RunState(str(folder), refused=_refused(folder))
    manifest, path = read_manifest(folder), folder / STATUS
    driver = driver_of(folder)
    try:
        status, silent = read_json(path), max(time.time() - path.stat().st_mtime, 0.0)
    except (InputError, FileNotFoundError):
        if path.exists():
            raise
        status, silent = {}, None
    if not {"best", "failures"} <= status.keys():
        status = {**_counted(folder, manifest), **status}
    try:
        return _state(folder, manifest, status, driver, silent)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is damaged: {error!r}; go on with the run, which writes it again") from error


def _state(
    folder: Path, manifest: Mapping[str, Any], status: Mapping[str, Any], driver: Driver | None, silent: float | None
) -> RunState:
    session = (status.get("session") or {}) if driver else {}
    state = _without_driver(folder, status) if driver is None else "running"
    return RunState(
        folder=str(folder),
        state=state,
        driver=driver,
        silent=silent,
        phase=str(status.get("phase", "")),
        reason=None if driver else status.get("reason"),
        done=int(status.get("done", status.get("evaluations", 0))),
        total=status.get("total"),
        round=None if (own := status.get("round")) is None else AtRound.of(own),
        evaluations=int(status.get("evaluations", 0)),
        items=status.get("items"),
        seconds=float(status.get("seconds", 0.0)),
        budgets={name: float(limit) for name, limit in manifest.get("budgets", {}).items() if limit is not None},
        rate=session.get("rate"),
        remaining=session.get("remaining"),
        best={name: float(value) for name, value in status["best"].items()},
        hypervolume=None if (volume := status.get("hypervolume")) is None else float(volume),
        failures={kind: int(count) for kind, count in status["failures"].items()},
        retried=int(status.get("retried", 0)),
        workers=tuple(_at_work(worker) for worker in session.get("workers", ())),
        joined=joined(folder) if state == "waiting" else 0,
        refused=_refused(folder) if state == "waiting" else (),
    )


def _refused(folder: Path) -> tuple[str, ...]:
    host, problems = sharing.refusal(folder)
    return tuple(f"{host}: {problem}" for problem in problems)


def _without_driver(folder: Path, status: Mapping[str, Any]) -> str:
    """The state of a run that nobody drives."""
    if status.get("finished"):
        return "finished"
    if sharing.goes_on(folder):
        return "waiting"
    return "ended" if status.get("reason") else "gone"


def _at_work(worker: Mapping[str, Any]) -> AtWork:
    job, candidate = worker["job"], ""
    if job is not None:
        split, batch, index, rung, candidate = (*str(job).split("-", 4), "", "", "", "")[:5]
        further = f", rung {rung}" if rung not in ("", "0") else ""
        job = f"number {index} of batch {batch}{further} ({split})"
    return AtWork(
        name=str(worker["name"]),
        place=str(worker["place"]),
        job=job,
        candidate=candidate,
        seconds=max(time.time() - float(worker["since"]), 0.0),
        done=int(worker["done"]),
        busy=float(worker["busy"]),
        ready=bool(worker["ready"]),
    )


def _counted(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The same from the records of a run whose status says less, as that of an earlier version."""
    store = RunStore.read(folder)
    searched = [one for one in candidates(store) if not one.recommended]
    failed = Counter(one.error.kind for one in store.evaluations() if one.error is not None)
    further = (max(store.provenance(one).attempt - 1, 0) for one in store.evaluations())
    return {
        "evaluations": len(searched),
        "items": sum(one.items for one in searched),
        **_best(store, manifest),
        "failures": dict(sorted(failed.items())),
        "retried": sum(further),
    }


def _best(store: RunStore, manifest: Mapping[str, Any]) -> dict[str, Any]:
    objectives = [Objective.from_json(data) for data in manifest.get("objectives", [])]
    constraints = [Constraint.from_json(data) for data in manifest.get("constraints", [])]
    try:
        front = Front(Criteria(objectives, constraints, baselines(store, "search")))
    except InputError:  # it ended before the baselines that constraints are relative to were scored
        return {"best": {}}
    front.extend(candidates(store))
    fixed = [one for name, one in baselines(store, "search").items() if not name.startswith(SCALED)]
    return {"best": front.best(), "hypervolume": front.hypervolume(fixed)}
