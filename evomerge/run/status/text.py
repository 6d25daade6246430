"""The state of runs in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evomerge.run.status.facts import RunState
from evomerge.store import Sweep
from evomerge.texts import duration

__all__ = ["SILENT", "lines_of", "sweep_lines"]

SILENT = 60.0  # seconds without a word of a driver that has one every ten
_REASONS = {
    "stopped": "stopped by hand",
    "interrupted": "interrupted",
    "failures": "too many candidates failed in a row",
}
_AGAIN = "the same command goes on"


def lines_of(state: RunState) -> Iterator[str]:
    """A run, line by line."""
    yield f"{state.folder}: {_headline(state)}"
    yield from (f"  a driver was refused on {problem}" for problem in state.refused)
    if state.state == "new":
        return
    total = f" of {state.total}" if state.total is not None else ""
    rate = f", {_rate(state.rate)}" if state.rate else ""
    left = f", {duration(state.remaining)} left in this phase" if state.remaining is not None else ""
    yield f"  phase {state.phase}: {state.done}{total} evaluations{rate}{left}"
    if (own := state.round) is not None:
        yield f"  {own}: {own.done}{'' if own.total is None else f' of {own.total}'} evaluations"
    yield f"  used: {_used(state)}"
    if state.best:
        best = ", ".join(f"{name} {value:.4g}" for name, value in state.best.items())
        volume = f"; hypervolume {state.hypervolume:.4g}" if state.hypervolume is not None else ""
        yield f"  best so far, on search items: {best}{volume}"
    kinds = ", ".join(f"{count} {kind}" for kind, count in (state.failures or {}).items())
    retried = f"; further attempts after lost workers: {state.retried}" if state.retried else ""
    yield f"  failed: {kinds or 'none'}{retried}"
    if state.workers:
        yield f"  workers: {sum(worker.job is not None for worker in state.workers)} of {len(state.workers)} at work"
        yield from (f"    {row}" for row in _workers(state))


def sweep_lines(sweep: Sweep, states: Sequence[RunState | None]) -> Iterator[str]:
    """A sweep, one line for each run; None for one that has no folder yet."""
    finished = sum(state is not None and state.state == "finished" for state in states)
    yield f"{sweep.folder}: {len(states)} runs, {finished} finished"
    width = max(len(job.name) for job in sweep.jobs)
    for job, state in zip(sweep.jobs, states, strict=True):
        said = f"{job.state} {job.reason}".strip() if state is None else _line_of(state)
        yield f"  {job.name.ljust(width)}  {said}"


def _line_of(state: RunState) -> str:
    best = "".join(f", {name} {value:.4g}" for name, value in (state.best or {}).items())
    best += f", hypervolume {state.hypervolume:.4g}" if state.hypervolume is not None else ""
    failed = sum((state.failures or {}).values())
    where = f", {state.round}" if state.round is not None and state.state != "finished" else ""
    return f"{_headline(state)}{where}; {state.evaluations} candidates{best}{f', {failed} failed' if failed else ''}"


def _headline(state: RunState) -> str:
    if state.state == "new":
        return "not begun"
    if state.state == "running":
        return f"running, driven by {_driver(state)}"
    if state.state == "finished":
        return f"finished ({state.reason})"
    if state.state == "waiting":
        return f"without a driver just now; {_successors(state)}"
    if state.state == "ended":
        return f"ended before its end: {_REASONS.get(str(state.reason), state.reason)}; {_AGAIN}"
    ago = f", last sign {duration(state.silent)} ago" if state.silent is not None else ""
    return f"its driver is gone{ago}; {_AGAIN}"


def _successors(state: RunState) -> str:
    if not state.joined:
        return f"no worker is there that could drive it; one goes on: evomerge worker run={state.folder}"
    count = "a worker has joined and drives" if state.joined == 1 else f"{state.joined} workers have joined; one drives"
    return f"{count} it next"


def _driver(state: RunState) -> str:
    driver = state.driver
    if driver is None or driver.pid is None:
        return "a process that has just begun"
    name = f"process {driver.pid} on {driver.host}"
    if state.silent is not None and min(state.silent, driver.seconds) >= SILENT:
        return f"{name}, which has given no sign for {duration(min(state.silent, driver.seconds))}"
    return name


def _rate(rate: float) -> str:
    """Evaluations in the unit in which there is more than one."""
    for seconds, unit in ((1.0, "second"), (60.0, "minute")):
        if rate * seconds >= 1.0:
            return f"{rate * seconds:.1f} a {unit}"
    return f"{rate * 3600.0:.1f} an hour"


def _used(state: RunState) -> str:
    """How much is used, with the budgets that there are."""
    used = (
        ("evaluations", state.evaluations, "candidates"),
        ("items", state.items, "items"),
        ("seconds", round(state.seconds), "seconds"),
    )
    limits = state.budgets or {}
    of = {name: f" of {limits[name]:.0f}" if name in limits else "" for name, _, _ in used}
    return ", ".join(f"{count}{of[name]} {what}" for name, count, what in used if count is not None)


def _workers(state: RunState) -> Iterator[str]:
    width = max(len(worker.name) for worker in state.workers)
    place = max(len(worker.place) for worker in state.workers)
    for worker in state.workers:
        since = duration(worker.seconds)
        what = f"{worker.job}, candidate {worker.candidate}, for {since}" if worker.job else f"idle for {since}"
        what = what if worker.ready else f"being started, for {since}"
        yield f"{worker.name.ljust(width)}  {worker.place.ljust(place)}  {what}; {worker.done} done"
