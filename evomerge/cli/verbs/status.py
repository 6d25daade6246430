"""``evomerge status``: how far a run or a sweep is, and who is doing what."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from evomerge.errors import InputError
from evomerge.run.status.config import StatusConfig
from evomerge.run.status.facts import RunState, state_of
from evomerge.run.status.text import lines_of, sweep_lines
from evomerge.store import is_sweep, read_sweep, write_json
from evomerge.texts import printable


def run(config: StatusConfig) -> int:
    """Looks once, or again and again until the run has ended or somebody interrupts.

    A run that workers share has not ended where its driver has: another one drives it then.
    """
    while True:
        lines, data, over = _look(Path(config.run))
        print("\n".join(map(printable, lines)), flush=True)
        if config.json:
            write_json(Path(config.json), data)
        if config.watch is None or over:
            return 0
        time.sleep(config.watch)
        print()


def _look(folder: Path) -> tuple[list[str], dict[str, Any], bool]:
    """The lines to print, the same as data, and whether nothing is going on any more."""
    if not is_sweep(folder):
        state = state_of(folder)
        return list(lines_of(state)), state.to_json(), state.state not in ("running", "waiting", "new")
    sweep = read_sweep(folder)
    states = [_of_job(folder / job.name) for job in sweep.jobs]
    runs = {job.name: state and state.to_json() for job, state in zip(sweep.jobs, states, strict=True)}
    over = all(state is not None and state.state == "finished" for state in states)
    return list(sweep_lines(sweep, states)), {"folder": str(folder), "runs": runs}, over


def _of_job(folder: Path) -> RunState | None:
    try:
        return state_of(folder) if (folder / "manifest.json").exists() else None
    except InputError:
        return None  # one damaged run must not hide the others
