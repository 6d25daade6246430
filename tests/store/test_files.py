"""Files that other processes write at the same time, disks that fill up, and lines that a kill tore."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evomerge.errors import InputError
from evomerge.store import RunStore
from evomerge.store.files import Log, drop_torn_tail, drop_zeros, read_lines, write_lines, write_text
from tests.store.test_store import answers, evaluation, everything, opened


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond a size, as on a disk that is full: what fits is written, then comes an error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_line_that_did_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    assert log.append(b"whole\n") == 0
    with largest_file(10), pytest.raises(OSError, match=r"too large.*log\.jsonl"):
        log.append(b"too long\n")
    assert log.append(b"next\n") == 6
    log.close()
    assert (tmp_path / "log.jsonl").read_bytes() == b"whole\nnext\n"


@pytest.mark.parametrize(
    ("file", "answered"), [("records/main.jsonl", 1), ("responses/main.jsonl", 20), ("item_sets.jsonl", 1)]
)
def test_a_store_goes_on_when_the_disk_has_room_again(tmp_path: Path, file: str, answered: int) -> None:
    first = answers([f"i{10 + number}" for number in range(answered)])
    with opened(tmp_path / "whole") as store:
        store.append(evaluation("a", 0, 0), first)
        store.append(evaluation("b", 0, 1), answers(("i2",)))
        wanted = everything(store)
    with opened(tmp_path / "full") as store:
        store.append(evaluation("a", 0, 0), first)
        path = tmp_path / "full" / file
        before = path.read_bytes()
        with largest_file(len(before) + 5), pytest.raises(OSError, match="too large"):
            store.append(evaluation("b", 0, 1), answers(("i2",)))
        assert path.read_bytes() == before
        store.append(evaluation("b", 0, 1), answers(("i2",)))
    with opened(tmp_path / "full") as store:
        assert everything(store) == wanted


@pytest.mark.parametrize("torn", [b"", b"x", b"x" * 70_000])
@pytest.mark.parametrize("whole", [b"", b"a\n", b"a\n" + b"b" * 140_000 + b"\n"])
def test_a_torn_tail_is_cut_off_whatever_its_length(tmp_path: Path, whole: bytes, torn: bytes) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(whole + torn)
    assert drop_torn_tail(path) == len(torn)
    assert path.read_bytes() == whole


def test_two_that_write_one_file_at_once_both_write_it_whole(tmp_path: Path) -> None:
    """On a shared file system two processes may have one number, as these two have."""
    path = tmp_path / "report.md"

    def lines() -> Iterator[str]:
        yield "first\n"
        write_text(path, "the other's\n")
        assert path.read_text() == "the other's\n"
        yield "last\n"

    write_lines(path, lines())
    assert path.read_text() == "first\nlast\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.md"]


@pytest.mark.parametrize("hole", [b"\0" * 9, b"b\0\n", b'{"a":' + b"\0" * 70_000, b"\0\n\0\n"])
@pytest.mark.parametrize("after", [b"", b"c\n", b"c\nd"])
def test_zeros_that_a_power_cut_left_are_cut_off_with_what_follows(tmp_path: Path, hole: bytes, after: bytes) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'"a"\n"b"\n' + hole + after)
    read = list(read_lines(path, json.loads))
    assert read == ["a", "b"], "whoever only reads does not stop at them"
    dropped = drop_torn_tail(path) + drop_zeros(path)
    assert dropped == len(hole + after)
    assert path.read_bytes() == b'"a"\n"b"\n'


def test_zeros_before_much_else_are_no_power_cuts(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'"a"\n\0\n' + b'"b"\n' * (1 << 18))
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"line 2 of .*log\.jsonl is damaged"):
        list(read_lines(path, json.loads))
    assert drop_zeros(path) == 0
    assert path.read_bytes() == before


def test_a_store_goes_on_after_a_power_cut(tmp_path: Path) -> None:
    """What was told was not waited for, and is zeros; the record after it was not waited for either."""
    for folder in (tmp_path / "whole", tmp_path / "torn"):
        with opened(folder) as store:
            store.append(evaluation("a", 0, 0), answers())
            store.append(evaluation("b", 0, 1), answers(("i2",)))
            wanted = everything(store)
    records = tmp_path / "torn" / "records" / "main.jsonl"
    first, second = records.read_bytes().splitlines(keepends=True)
    records.write_bytes(first + bytes(40) + b"\n" + second)
    assert [e.digest for e in RunStore.read(tmp_path / "torn").evaluations()] == ["a"]
    with opened(tmp_path / "torn") as store:
        store.append(evaluation("b", 0, 1), answers(("i2",)))
    with opened(tmp_path / "torn") as store:
        assert everything(store) == wanted
