"""Numbers of threads follow from cores, workers and measured seconds, on any machine and for any model."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from evomerge.candidate import threads
from evomerge.candidate.threads import (
    available_cores,
    describe_threads,
    thread_choices,
    time_threads,
    usable_cores,
    worker_gain,
    worthwhile_threads,
)
from evomerge.candidate.tuning import Tuning


@pytest.mark.parametrize(
    ("bound", "quotas", "cores"),
    [
        (None, [], 1),  # a system that does not say
        (0, [], 1),
        (1, [], 1),
        (3, [], 3),
        (64, [], 64),
        (64, ["max 100000"], 64),
        (64, ["-1 100000"], 64),
        (64, ["200000 100000"], 2),
        (64, ["150000 100000"], 2),
        (64, ["10000 100000"], 1),
        (2, ["800000 100000"], 2),
        (8, ["400000 100000", "300000 100000"], 3),
        (8, ["400000 0"], 8),
        (8, ["0 100000"], 8),
        (8, [""], 8),
        (8, ["400000"], 8),
        (8, ["nan 100000"], 8),
        (8, ["written otherwise"], 8),
    ],
)
def test_cores_are_those_that_are_bound_within_the_quota(bound: int | None, quotas: Sequence[str], cores: int) -> None:
    assert usable_cores(bound, quotas) == cores


@pytest.mark.parametrize(
    ("files", "quotas"),
    [
        ({}, []),
        ({"cpu.max": "max 100000\n"}, ["max 100000"]),
        ({"cpu.max": "250000 100000\n"}, ["250000 100000"]),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, ["-1 100000"]),
        ({"cpu/cpu.cfs_quota_us": "50000\n"}, []),
        ({"cpu.max": "½"}, []),
    ],
)
def test_quotas_are_read_in_both_forms(tmp_path: Path, files: Mapping[str, str], quotas: Sequence[str]) -> None:
    (tmp_path / "cpu").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert threads._quotas(tmp_path) == quotas


@pytest.mark.parametrize("binding", [True, False])
def test_this_machine_has_cores(monkeypatch: pytest.MonkeyPatch, binding: bool) -> None:
    most = os.cpu_count()
    if not binding:  # as on systems that cannot bind a process to cores
        monkeypatch.delattr(os, "sched_getaffinity")
    assert most is not None
    assert 1 <= available_cores() <= most


@pytest.mark.parametrize(
    ("cores", "workers", "choices"),
    [
        (1, 1, (1,)),
        (2, 1, (1, 2)),
        (3, 1, (1, 3)),
        (4, 1, (1, 2, 4)),
        (64, 1, (1, 32, 64)),
        (64, 8, (1, 4, 8)),
        (64, 64, (1,)),
        (2, 5, (1,)),  # more workers than cores
        (1, 0, (1,)),
    ],
)
def test_choices_are_one_half_and_all_of_a_workers_cores(cores: int, workers: int, choices: tuple[int, ...]) -> None:
    assert thread_choices(cores, workers) == choices


@pytest.mark.parametrize(
    ("seconds", "timed"),
    [
        ({1: 1.0}, {1}),
        ({1: 900.0}, {1}),
        ({1: 1.0, 2: 0.9}, {1, 2}),
        ({1: 0.1, 2: 1.9}, {1, 2}),
        ({1: 0.1, 2: 2.1}, {2}),  # so long that fewer threads are not tried
        ({1: 64.0, 32: 2.0, 64: 1.0}, {32, 64}),  # one thread could take a minute
        ({1: 3.2, 32: 0.1, 64: 0.05}, {1, 32, 64}),
        ({1: 900.0, 32: 30.0, 64: 15.0}, {64}),
        ({1: 0.0, 2: 0.0}, {1, 2}),  # a clock that stands still
    ],
)
def test_passes_that_could_take_long_are_not_timed(seconds: Mapping[int, float], timed: set[int]) -> None:
    found = time_threads(sorted(seconds), seconds.__getitem__)
    assert found == {count: seconds[count] for count in timed}
    assert worthwhile_threads(found) in timed


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({1: 1.0}, 1),
        ({1: 1.0, 2: 1.0}, 1),
        ({1: 1.0, 2: 0.85}, 1),
        ({1: 1.0, 2: 0.8}, 2),
        ({2: 0.5, 1: 1.0}, 2),
        ({1: 1.0, 2: 0.8, 4: 0.7}, 2),
        ({1: 1.0, 2: 0.9, 4: 0.8}, 4),
        ({1: 1.0, 2: 1.5, 4: 0.5}, 4),
        ({1: 0.1, 8: 3.0}, 1),
        ({8: 3.0}, 8),
        ({1: 0.0, 2: 0.0}, 1),
        ({1: 0.5, 2: 0.0}, 2),
    ],
)
def test_another_thread_must_be_worth_it(seconds: Mapping[int, float], chosen: int) -> None:
    assert worthwhile_threads(seconds) == chosen


@pytest.mark.parametrize(
    ("seconds", "chosen", "cores", "workers", "gain"),
    [
        ({1: 1.0, 2: 0.8}, 2, 2, 1, 1.6),
        ({1: 1.0, 4: 0.5}, 4, 64, 1, 32.0),
        ({1: 1.0, 4: 0.5}, 4, 64, 16, 2.0),  # that many workers are there already
        ({1: 1.0, 2: 1.0}, 1, 2, 1, None),  # they have one thread each
        ({}, 2, 2, 1, None),  # told, not timed
        ({2: 3.0}, 2, 2, 1, None),  # a large model: one thread was not timed
        ({1: 1.0}, 2, 2, 1, None),
        ({1: 0.0, 2: 0.0}, 2, 2, 1, None),
        ({1: 0.5, 2: 0.0}, 2, 2, 1, None),
    ],
)
def test_gain_of_more_workers_is_known_where_one_thread_was_timed(
    seconds: Mapping[int, float], chosen: int, cores: int, workers: int, gain: float | None
) -> None:
    assert worker_gain(seconds, chosen, cores, workers) == gain
    hint = describe_threads(chosen, seconds, cores, workers)[1]
    assert (f"up to {gain:.1f} times" in hint) if gain else hint == ""


@pytest.mark.parametrize("cores", [1, 2, 3, 64])
def test_every_machine_and_model_is_described(cores: int) -> None:
    """Whatever the number of workers, the speed of a pass and the worth of a thread: a choice and a sentence."""
    for workers, slowness, scaling in itertools.product((1, 2, 100), (0.0, 1e-6, 0.1, 2.5, 1e4), (0.0, 0.5, 1.0, -0.5)):
        choices = thread_choices(cores, workers)
        chosen = worthwhile_threads(seconds := time_threads(choices, lambda n: slowness / n**scaling))  # noqa: B023
        assert chosen in choices
        text = Tuning(chosen, "shared", seconds=seconds).describe("float32", cores, workers)
        number = "1 thread" if chosen == 1 else f"{chosen} threads"
        assert text.startswith(f"models run in float32 with {number} per worker; shared prefixes are run once")
