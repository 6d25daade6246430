"""Lines while tensors are prepared."""

from __future__ import annotations

import io
from collections.abc import Iterator

from evomerge.merging.prepared.notice import PreparationNotice


def told(seconds: list[float], bounds: list[int]) -> list[str]:
    """Lines of a preparation whose tensors take some seconds each."""
    now, stream = [100.0], io.StringIO()

    def prepared() -> Iterator[tuple[str, int]]:
        for number, length in enumerate(seconds):
            now[0] += length
            yield str(number), number

    notice = PreparationNotice({str(i): bound for i, bound in enumerate(bounds)}, stream, lambda: now[0])
    assert list(notice.over(prepared())) == [(str(number), number) for number in range(len(seconds))]
    return stream.getvalue().splitlines()


def test_nothing_is_said_where_it_takes_no_time() -> None:
    assert told([1.0, 1.0, 1.0], [4, 4, 4]) == []
    assert told([60.0], [4]) == []  # over when there is something to say
    assert told([], []) == []


def test_lines_now_and_then_say_how_long_the_rest_takes() -> None:
    lines = told([20.0] * 6, [10, 10, 10, 10, 10, 50])
    assert lines == [
        "evomerge: 1 of 6 tensors are prepared, about 3 min 00 s left",  # 20 s for a tenth of the bytes
        "evomerge: 3 of 6 tensors are prepared, about 2 min 20 s left",
        "evomerge: 5 of 6 tensors are prepared, about 1 min 40 s left",
        "evomerge: all 6 tensors are prepared, in 2 min 00 s",
    ]


def test_tensors_that_nothing_is_kept_of_are_no_measure() -> None:
    assert told([10.0, 10.0], [0, 8])[0] == "evomerge: 1 of 2 tensors are prepared"
