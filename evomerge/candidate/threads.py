"""Numbers of threads: which are tried, which one is chosen, and what more workers would gain.

Pure functions of cores, workers and measured seconds; :mod:`evomerge.candidate.tuning` measures.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

# Another choice must be this much faster than the simpler one, or chance would decide between equals.
WORTHWHILE = 1.2
# Fewer threads are not tried where one timed pass could take longer than this many seconds.
LONGEST_PASS = 4.0
# A gain below this is not worth a sentence.
_WORTH_TELLING = 1.3
# cgroup v2 keeps quota and period in one file, v1 in two.
_QUOTAS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
_CGROUP = Path("/sys/fs/cgroup")


def available_cores() -> int:
    """Number of cores this process may use: its affinity mask, within the CPU quota of its container."""
    # Not every system has affinity masks.
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return usable_cores(bound, _quotas(_CGROUP))


def usable_cores(bound: int | None, quotas: Iterable[str]) -> int:
    """Number of cores within an affinity mask and CPU quotas.

    Args:
        bound: Size of the affinity mask; ``None`` where the system does not say.
        quotas: ``QUOTA PERIOD`` in microseconds, as the kernel writes it; ``max`` or ``-1`` stands for no quota.

    Returns:
        At least 1.
    """
    cores = bound or 1
    for quota in quotas:
        allowed, _, period = quota.partition(" ")
        with contextlib.suppress(ValueError):  # ``max``, or a file that a kernel writes otherwise
            if float(allowed) > 0 and float(period) > 0:
                cores = min(cores, math.ceil(float(allowed) / float(period)))
    return max(1, cores)


def _quotas(root: Path) -> list[str]:
    """The CPU quotas below a cgroup folder; none where it has no such files."""
    found = []
    for names in _QUOTAS:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found.append(" ".join((root / name).read_text(encoding="ascii").strip() for name in names))
    return found


def thread_choices(cores: int, workers: int) -> tuple[int, ...]:
    """Numbers of threads that a worker may have, the fewest first: one, half of its cores, all of them.

    Args:
        cores: Cores that all workers share.
        workers: Number of workers; more than there are cores get one thread each.
    """
    most = max(1, cores // max(1, workers))
    return tuple(sorted({1, max(1, most // 2), most}))


def time_threads(choices: Sequence[int], seconds_of: Callable[[int], float]) -> dict[int, float]:
    """Times a pass with several numbers of threads, leaving out those that could take too long.

    A large model has work for every thread. Its pass could take so many times longer on fewer threads as there are
    fewer of them, and on many cores that would be minutes.

    Args:
        choices: Numbers of threads, at least one.
        seconds_of: Measures the pass with a number of threads.

    Returns:
        Seconds by number of threads; the largest number is always there.
    """
    most = max(choices)
    seconds = {most: seconds_of(most)}
    for count in sorted(choices, reverse=True):
        if count != most and seconds[most] * most <= LONGEST_PASS * count:
            seconds[count] = seconds_of(count)
    return seconds


def worthwhile_threads(seconds: Mapping[int, float]) -> int:
    """The fewest threads that are about as fast as more of them.

    Args:
        seconds: Time of the same work, by number of threads.

    Returns:
        One of the numbers: another is taken over a smaller one only where it is a fifth faster.
    """
    chosen = min(seconds)
    for count in sorted(seconds):
        if seconds[count] * WORTHWHILE < seconds[chosen]:
            chosen = count
    return chosen


def worker_gain(seconds: Mapping[int, float], threads: int, cores: int, workers: int) -> float | None:
    """Gain in throughput of one single-threaded worker per core.

    Args:
        seconds: Time of the same work, by number of threads.
        threads: Threads that each worker has been given.
        cores: Cores that all workers share.
        workers: Number of workers.

    Returns:
        The ratio; ``None`` where one thread or the chosen number was not timed, or took no time that could be seen.
    """
    one, chosen = seconds.get(1), seconds.get(threads)
    if not one or not chosen or threads == 1:
        return None
    return (cores / one) / (workers / chosen)


def describe_threads(threads: int, seconds: Mapping[int, float], cores: int, workers: int) -> tuple[str, str]:
    """Words for a choice of threads.

    Args:
        threads: Threads of a worker.
        seconds: Timed passes by number of threads; empty where none was timed.
        cores: Cores that all workers share.
        workers: Number of workers.

    Returns:
        The number of threads, and a hint at what would be faster; the hint is empty where there is none.
    """
    chosen = "1 thread" if threads == 1 else f"{threads} threads"
    gain = worker_gain(seconds, threads, cores, workers)
    if gain is None or gain <= _WORTH_TELLING:
        return chosen, ""
    return chosen, (
        f"{cores} workers of one thread could score up to {gain:.1f} times as much "
        f"(executor=processes executor.workers={cores} model.threads=1)"
    )
