"""Predictions of collections, made without weights: passes and bytes as they come, memory as the tensors add up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import open_source
from evomerge.errors import InputError
from evomerge.merging import LiveModel
from evomerge.statistics import (
    Calibration,
    Collection,
    Keyed,
    Limits,
    StatisticsFolder,
    Wanted,
    fill,
    forecast,
)
from evomerge.statistics._shared.simulation import Meter
from tests.statistics.conftest import calibration

BESIDE = 60_000_000  # of the allocator and others
TEXTS = calibration(24, 7, 9)
FolderOf = Callable[[str], Path]
LiveOf = Callable[[str], LiveModel]


@pytest.mark.parametrize("model_type", ["mixtral", "qwen2"])
def test_passes_and_bytes_are_those_of_the_collection(
    folder_of: FolderOf, live_of: LiveOf, tmp_path: Path, model_type: str
) -> None:
    source, live, limits = open_source(folder_of(model_type)), live_of(model_type), Limits(60_000)
    for name in ("gram", "snip"):
        wanted = Wanted(name)
        expected = forecast(source, TEXTS, [wanted], limits)
        plan = Collection.of(live, TEXTS, {"": wanted}, limits).plan
        assert expected.passes == len(plan.passes)
        keyed = Keyed.of(wanted, "F", TEXTS)
        fill(StatisticsFolder(tmp_path), live, TEXTS, [keyed], limits)
        written = sum(path.stat().st_size for path in (tmp_path / keyed.key).glob("window-*"))
        assert expected.disk == pytest.approx(written, rel=0.1)
        assert expected.live == sum(one.numel() * 4 for one in live.model.parameters()) + _buffers(live)
        assert expected.working - BESIDE > max(sum(one.nbytes for one in each.sums) for each in plan.passes)
        assert expected.seconds > 0.0
        assert not expected.notes


def test_a_diagonal_is_noted_and_smaller(folder_of: FolderOf) -> None:
    source = open_source(folder_of("llama"))
    whole, narrow = (forecast(source, TEXTS, [Wanted("gram", {"limit": n})], Limits()) for n in (None, 16))
    assert narrow.disk < whole.disk
    assert len(narrow.notes) == 2


def test_longer_texts_take_more_memory_and_time(folder_of: FolderOf) -> None:
    source = open_source(folder_of("llama"))
    short, long = (forecast(source, calibration(n), [Wanted("fisher")], Limits()) for n in (8, 256))
    assert long.working > short.working
    assert long.disk == short.disk
    more = forecast(source, calibration(*[256] * 100), [Wanted("fisher")], Limits())
    assert more.working == long.working
    assert more.seconds > long.seconds


def test_what_would_be_refused_is_refused(folder_of: FolderOf) -> None:
    source = open_source(folder_of("llama"))
    with pytest.raises(InputError, match=r"statistics.memory"):
        forecast(source, TEXTS, [Wanted("gram")], Limits(1000))
    with pytest.raises(InputError, match="no calibration texts"):
        forecast(source, Calibration((), 8), [Wanted("gram")], Limits())


def test_the_meter_counts_what_is_alive() -> None:
    given = torch.zeros(1000)
    with Meter([given]) as meter:
        first = given + 1
        second = first[:10].view(2, 5)  # no memory of its own
        del first
        third = second @ torch.zeros(5, 3)
        del second
        torch.zeros(500)
    assert meter.peak == 4000 + 60 + 24
    assert meter.operations == 2 * 2 * 5 * 3
    assert third.shape == (2, 3)


def _buffers(live: LiveModel) -> int:
    return sum(one.numel() * one.element_size() for one in live.model.buffers())
