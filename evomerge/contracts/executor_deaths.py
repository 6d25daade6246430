"""The contract of executors with processes and limits: what a candidate does to its worker is that candidate's end."""

from __future__ import annotations

import functools
from pathlib import Path

from evomerge.contracts import workers
from evomerge.contracts.executor import Made
from evomerge.contracts.watching import gone, raised
from evomerge.errors import InputError
from evomerge.executors import Result, run

__all__ = ["DeathContract"]


class DeathContract(Made):
    """Promises of executors that have the options ``timeout`` and ``memory``."""

    def kinds(self, found: dict[str, Result]) -> dict[int, tuple[str, int]]:
        """Kind of failure and number of attempts of the jobs that failed, by their numbers."""
        return {
            workers.number(id): (result.outcome.error.kind, result.attempt)
            for id, result in found.items()
            if result.outcome.error is not None
        }

    def test_a_crash_is_one_failed_candidate(self) -> None:
        """An abort, a bad access, recursion without end, an exit: the second worker that dies of it is the last."""
        with self.made(workers.make_crashing) as executor:
            found = self.ended(executor, range(6))
        assert self.kinds(found) == {1: ("error", 2), 2: ("error", 2), 3: ("error", 1), 4: ("error", 1)}
        words = {number: str(found[self.job(number).id].outcome.error) for number in (1, 2, 3, 4)}
        assert "signal 6" in words[1]
        assert "signal 11" in words[2]
        assert "RecursionError" in words[3]
        assert "SystemExit: enough" in words[4]

    def test_a_worker_whose_device_computes_no_more_is_replaced(self) -> None:
        """Nothing that it would have answered later counts; its job is tried on another."""
        with self.made(workers.make_poisoned) as executor:
            found = self.ended(executor, range(5))
        assert self.kinds(found) == {1: ("error", 2)}
        assert "illegal memory access" in str(found[self.job(1).id].outcome.error)

    def test_a_candidate_that_outlives_the_time_limit_has_failed(self, tmp_path: Path) -> None:
        """At once: its worker is ended, and the other jobs end with others."""
        with self.made(functools.partial(workers.Sleeping, tmp_path, (1,)), timeout=0.5) as executor:
            found = self.ended(executor, range(4))
            assert all(gone(int(trace.stem)) for trace in tmp_path.glob("*.asleep"))
        assert self.kinds(found) == {1: ("timeout", 1)}
        assert "executor.timeout" in str(found[self.job(1).id].outcome.error)

    def test_a_candidate_that_takes_more_memory_than_there_is_has_failed(self) -> None:
        """At once, and no other with it."""
        with self.made(workers.make_greedy, memory=250_000_000) as executor:
            found = self.ended(executor, range(4))
        assert self.kinds(found) == {1: ("oom", 1)}
        assert "executor.memory" in str(found[self.job(1).id].outcome.error)

    def test_a_limit_that_no_worker_can_keep_is_the_users_to_change(self) -> None:
        """No candidate is blamed for it."""
        with self.made(memory=1000) as executor:
            error = raised(InputError, lambda: list(run(executor, [self.job(0)])))
        assert "executor.memory" in str(error)
