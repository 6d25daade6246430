"""Live progress."""

import io
from dataclasses import replace

from evomerge.cli.progress import ProgressLine, sentence
from evomerge.search import AtRound, Progress
from evomerge.texts import duration

HALF = Progress(
    phase="search",
    done=20,
    total=40,
    batch=2,
    best={"sums.acc": 0.625, "rhymes.acc": 0.5},
    front=3,
    failures=1,
    merge_seconds=0.014,
    score_seconds=0.48,
    elapsed=10.0,
    remaining=95.0,
)


class Terminal(io.StringIO):
    """A stream that somebody watches."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_sentence() -> None:
    assert sentence(HALF) == (
        "search 20/40, 1 min 35 s left, best sums.acc 0.625, best rhymes.acc 0.500, front 3, "
        "0.01 s merge + 0.48 s score, 1 failed"
    )
    start = replace(HALF, done=0, total=None, best={}, front=0, failures=0, merge_seconds=0, score_seconds=0)
    assert sentence(start) == "search 0"
    assert sentence(replace(start, items=17.6)) == "search 0, 18 items per candidate", (
        "where not all are asked the same"
    )
    assert sentence(replace(start, round=AtRound(2, 3, 0, None))) == "search 0, round 2 of 3"


def test_durations() -> None:
    assert [duration(s) for s in (0, 59.4, 60, 3599, 3660, -1)] == [
        "0 s",
        "59 s",
        "1 min 00 s",
        "59 min 59 s",
        "1 h 01 min",
        "0 s",
    ]


def test_a_terminal_has_one_line_per_phase() -> None:
    stream, clock = Terminal(), Clock()
    show = ProgressLine("auto", stream, clock)
    for done in range(1, 41):
        clock.now += 1
        show(replace(HALF, done=done))
    show(replace(HALF, phase="confirmation", done=1, total=2))
    show.close()
    lines = stream.getvalue().split("\n")
    assert len(lines) == 3
    assert lines[0].count("\r") == 40
    assert "search 40/40" in lines[0].split("\r")[-1]
    assert "confirming 1/2" in lines[1]
    assert lines[2] == ""


def test_a_shorter_line_covers_a_longer_one() -> None:
    stream, clock = Terminal(), Clock()
    show = ProgressLine("line", stream, clock)
    show(HALF)
    clock.now += 1
    show(replace(HALF, best={}, failures=0))
    first, second = stream.getvalue().split("\r")[1:]
    assert len(second) == len(first)


def test_a_log_has_a_line_now_and_then() -> None:
    stream, clock = io.StringIO(), Clock()
    show = ProgressLine("auto", stream, clock)
    for done in range(1, 41):
        clock.now += 1
        show(replace(HALF, done=done))
    lines = stream.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == ["search 1/40", "search 31/40", "search 40/40"]
    assert "\r" not in stream.getvalue()


def test_nothing_is_shown_when_nothing_is_wanted() -> None:
    stream = io.StringIO()
    show = ProgressLine("none", stream)
    show(HALF)
    show.close()
    assert stream.getvalue() == ""
