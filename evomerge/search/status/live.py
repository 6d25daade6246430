"""``status.json``: how far a search is, kept while it runs, also while nothing ends for a long time."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from evomerge.executors import Executor, WorkerState
from evomerge.search.events import Asked, Ended, Event, Phase, Scored, Told
from evomerge.search.progress import Watch
from evomerge.search.rounds.settings import RoundSettings
from evomerge.search.status.stopwatch import STATUS, Stopwatch
from evomerge.store import LeaseLost, RunStore

__all__ = ["OVER", "LiveStatus"]

OVER = ("evaluations", "items", "seconds", "patience", "exhausted")
_TICK = 1.0  # seconds between two looks at whether there is anything to write
_HEARTBEAT = 10.0  # seconds after which it is written again though nothing has changed: somebody is there


class LiveStatus:
    """Keeps ``status.json``: the phase, how much is done, what has failed, who is at what, and why the search ended.

    Phases and the end are written down at once, all else at most once a second. A thread writes too, as a candidate
    may take an hour; it reads what the search has counted and what the executor says of its workers, changes none of
    it, and files are replaced in one step, one after the other.

    Args:
        store: The run.
        clock: Its wall time.
        executor: Asked for its workers.
        rounds: The rounds of the search.
    """

    def __init__(self, store: RunStore, clock: Stopwatch, executor: Executor, rounds: RoundSettings) -> None:
        self._store = store
        self._clock = clock
        self._executor = executor
        self._watch = Watch(clock, rounds, lambda _: None)
        self._phase = ""
        self._batches = 0
        self._candidates: set[str] = set()  # one may be evaluated on several sets of items
        self._items = 0
        self._failures: Counter[str] = Counter()
        self._retried = 0
        self._replaying = False  # until the first ask of a phase: a session has not come as far as earlier ones had
        self._known: Sequence[WorkerState] = ()
        self._said = ""  # of the workers, when they were last written down
        self._changed = False
        self._written = time.monotonic()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="status", daemon=True)

    def __call__(self, event: Event) -> None:
        """Takes an event in."""
        with self._lock:
            self._take(event)

    def close(self) -> None:
        """Writes nothing any more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _take(self, event: Event) -> None:
        self._watch(event)
        if isinstance(event, Scored):
            self._scored(event)
        elif isinstance(event, Phase):
            self._phase, self._replaying = event.phase, True
            self._write(None)
            if not self._thread.is_alive() and not self._over.is_set():
                self._thread.start()
        elif isinstance(event, Asked):
            self._soon(event, now=self._replaying)
        elif isinstance(event, Told):
            self._batches = event.batch
            self._soon(event)
        elif isinstance(event, Ended):
            self._over.set()
            self._write(event.reason)

    def _scored(self, event: Scored) -> None:
        if self._phase == "search":
            self._candidates.add(event.evaluation.digest)
            self._items += event.asked
        if event.evaluation.error is not None:
            self._failures[event.evaluation.error.kind] += 1
        self._retried += max(self._store.provenance(event.evaluation).attempt - 1, 0)
        self._soon(event)

    def _soon(self, event: Event, *, now: bool = False) -> None:
        """Writes unless it was written a moment ago; what a replay finds was written by an earlier session."""
        if not event.fresh:
            return
        self._replaying, self._changed = False, True
        if now or time.monotonic() - self._written >= _TICK:
            self._write(None)

    def _beat(self) -> None:
        while not self._over.wait(_TICK):
            with self._lock:
                age = time.monotonic() - self._written
                if self._over.is_set() or self._replaying:
                    continue
                if age < _HEARTBEAT and not (age >= _TICK and (self._changed or self._others())):
                    continue
                try:
                    self._write(None)
                except LeaseLost:
                    return  # which the search finds out for itself
                except OSError:
                    continue  # a disk that is full or away; the search finds out when it has something to keep

    def _others(self) -> bool:
        """Whether workers are at something else than was written down."""
        return _occupation(self._workers()) != self._said

    def _workers(self) -> Sequence[WorkerState]:
        if self._over.is_set():
            return ()
        with contextlib.suppress(OSError):  # a shared folder that is away for a moment: what was last known
            self._known = self._executor.workers()
        return self._known

    def _write(self, reason: str | None) -> None:
        now, workers = self._watch.progress(), self._workers()
        data: dict[str, Any] = {
            "phase": "done" if reason in OVER else self._phase,
            "batches": self._batches,
            "evaluations": len(self._candidates),
            "finished": reason in OVER,
            "reason": reason,
            "seconds": round(self._clock.elapsed(), 3),
            "done": now.done,
            "total": now.total,
            "best": dict(now.best),
            "front": now.front,
            "hypervolume": self._watch.hypervolume(),
            "items": self._items,
            "failures": dict(sorted(self._failures.items())),
            "retried": self._retried,
        }
        if now.round is not None:
            data["round"] = now.round.to_json()
        if reason is None:
            data["session"] = {
                "rate": now.rate,
                "remaining": now.remaining,
                "workers": [_worker(state) for state in workers],
            }
        self._store.write_json(STATUS, data)
        self._said, self._changed, self._written = _occupation(workers), False, time.monotonic()


def _worker(state: WorkerState) -> dict[str, Any]:
    """A worker as the file has it: the moment since when, as the file is read later than it is written."""
    return {
        "name": state.name,
        "place": state.place,
        "job": state.job,
        "since": round(time.time() - state.seconds, 1),
        "done": state.done,
        "busy": round(state.busy, 1),
        "ready": state.ready,
    }


def _occupation(workers: Sequence[WorkerState]) -> str:
    return repr([(state.name, state.job, state.ready) for state in workers])
