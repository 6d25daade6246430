"""Folders of prepared arrays are removed as if at once: nobody meets a half of one, whenever a removal is stopped."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from evomerge.recipe import Recipe
from tests.apart import Apart, Forked
from tests.merging.conftest import Family
from tests.merging.test_prepared_inside import Inside, merged, one_inside
from tests.merging.test_prepared_store import CHILD

_FILES = 5000  # so many that their removal takes a while


@pytest.fixture
def inside(family: Callable[..., Family], tmp_path: Path, own_methods: Path) -> Inside:
    return one_inside(family(), tmp_path / "prepared", own_methods)


def other(inside: Inside) -> Recipe:
    """A recipe that needs other arrays, so that those of the first are removed."""
    return replace(inside.outer, sources=(replace(inside.inner, dtype="bfloat16"), inside.outer.sources[1]))


def asides(inside: Inside) -> list[Path]:
    return sorted(inside.folder.glob(".removed-*"))


def stopped_removal(inside: Inside, apart: Apart, number: signal.Signals) -> Forked:
    """A process that a signal reached while it removed the folder of the first recipe; nobody has seen a half of it."""
    path = inside.code / "recipe.json"
    other(inside).save(path)
    for _ in range(20):
        shutil.rmtree(inside.folder, ignore_errors=True)
        merged(inside.merger(), inside.outer)
        (part,) = inside.parts()
        for copy in range(_FILES):
            part.with_name(f"copy-{copy}").hardlink_to(part)
        child = apart.start(CHILD, str(inside.code), str(path), str(inside.folder))
        seen = _FILES + 1
        while part.parent.exists():
            with suppress(FileNotFoundError):  # it has gone since, all of it
                seen = sum(1 for _ in part.parent.glob("*"))
            assert seen > _FILES or not part.parent.exists(), "half of a folder is there"
            assert child.poll() is None
        child.send_signal(number)
        if asides(inside):
            return child
        child.send_signal(signal.SIGKILL)
        child.wait()
    raise AssertionError("no removal was met")


def test_what_a_killed_removal_has_left_is_removed_by_the_next(inside: Inside, apart: Apart) -> None:
    stopped_removal(inside, apart, signal.SIGKILL).wait()
    assert asides(inside)
    merged(inside.merger(), inside.outer)
    assert asides(inside) == []
    assert len(inside.parts()) == 1


def test_what_is_written_during_a_removal_stays(inside: Inside, apart: Apart) -> None:
    """By another process, which wants the folder of which an older one is being removed."""
    child = stopped_removal(inside, apart, signal.SIGSTOP)
    try:
        inside.calls()
        merged(inside.merger(), inside.outer)
        assert inside.calls() == inside.once()
        child.send_signal(signal.SIGCONT)
        child.output()
        inside.calls()
        merged(inside.merger(), inside.outer)
        assert inside.calls() == Counter()
    finally:
        child.send_signal(signal.SIGKILL)
