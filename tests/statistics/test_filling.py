"""The folder of statistics: written window by window, resumed after a kill, shared by processes, never half read."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evomerge.errors import InputError
from evomerge.lease import Lease
from evomerge.merging import LiveModel
from evomerge.statistics import Keyed, Limits, Progress, StatisticsFolder, Wanted, fill, key_of
from tests.apart import Apart
from tests.statistics.conftest import calibration, collected

TEXTS = calibration(12, 7, 9)
SMALL = Limits(5_000)  # of Gram matrices: several windows
# Collects until so many windows are there, and is killed in the next one.
COLLECTOR = """
import os, signal, sys
from pathlib import Path
from evomerge.merging import LiveModel
from evomerge.statistics import StatisticsFolder, fill
from tests.statistics.test_filling import SMALL, TEXTS, keyed

[wanted], folder = keyed("gram"), Path(sys.argv[2])

def report(progress):
    if len(list((folder / wanted.key).glob("window-*"))) == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

fill(StatisticsFolder(folder), LiveModel.load(sys.argv[1]), TEXTS, [wanted], SMALL, report)
"""


def keyed(*names: str) -> list[Keyed]:
    return [Keyed.of(Wanted(name), "F", TEXTS) for name in names]


def filled(path: Path, live: LiveModel, *names: str, limits: Limits = SMALL) -> StatisticsFolder:
    folder = StatisticsFolder(path)
    fill(folder, live, TEXTS, keyed(*names), limits)
    return folder


def test_every_tensor_is_found_under_its_name(tmp_path: Path, llama: LiveModel) -> None:
    folder = filled(tmp_path, llama, "gram", "channel_abs")
    for one in keyed("gram", "channel_abs"):
        expected = collected(llama, TEXTS, one.wanted)
        for name in llama.places:
            found = folder.tensor(one.key, name)
            assert (found is None) == (name not in expected)
            assert found is None or torch.equal(found, expected[name])
    assert folder.keys() == tuple(sorted(one.key for one in keyed("gram", "channel_abs")))
    assert folder.missing([*folder.keys(), "0" * 64]) == ("0" * 64,)
    about = folder.about(keyed("gram")[0].key)
    assert about["key"]["statistic"] == "gram"
    assert (about["sequences"], about["tokens"]) == (3, 28)
    assert about["aliases"]["model.layers.1.self_attn.q_proj.weight"] == "model.layers.1.self_attn.k_proj.weight"
    assert "model.norm.weight" in about["absent"]
    assert about["threads"] == torch.get_num_threads()
    assert not list(tmp_path.rglob(".*"))  # neither leases nor unfinished files


def test_what_is_there_is_not_collected_again(tmp_path: Path, llama: LiveModel) -> None:
    folder = filled(tmp_path, llama, "gram")
    told: list[Progress] = []
    fill(folder, llama, TEXTS, keyed("gram"), SMALL, told.append)
    assert not told
    fill(folder, llama, TEXTS, keyed("gram", "channel_abs"), SMALL, told.append)
    assert told[-1].total == 3  # one pass, for the magnitudes


def test_a_killed_collection_goes_on_at_its_first_missing_window(
    tmp_path: Path, folder_of: Callable[[str], Path], llama: LiveModel, apart: Apart
) -> None:
    whole = filled(tmp_path / "whole", llama, "gram")
    [one] = keyed("gram")
    assert apart.start(COLLECTOR, str(folder_of("llama")), str(tmp_path / "cut"), "2").wait() == -signal.SIGKILL
    cut = StatisticsFolder(tmp_path / "cut")
    there = {path: path.read_bytes() for path in (tmp_path / "cut" / one.key).glob("window-*")}
    assert len(there) == 2
    assert cut.missing([one.key]) == (one.key,)
    with pytest.raises(InputError, match="collect it"):
        cut.tensor(one.key, "lm_head.weight")
    unfinished = tmp_path / "cut" / one.key / ".window-002.safetensors.abcd"
    unfinished.write_bytes(b"half a window")
    told: list[Progress] = []
    fill(cut, llama, TEXTS, [one], SMALL, told.append)
    passes = len(list((tmp_path / "whole" / one.key).glob("window-*")))
    assert told[-1].total == 3 * (passes - 2)
    assert all(path.read_bytes() == data for path, data in there.items())
    assert not unfinished.exists()
    for name in llama.places:
        first, second = whole.tensor(one.key, name), cut.tensor(one.key, name)
        assert (first is None and second is None) or torch.equal(first, second)


def test_two_collectors_wait_for_each_other(tmp_path: Path, llama: LiveModel) -> None:
    [one] = keyed("gram")
    (tmp_path / one.key).mkdir()
    lease = Lease.take(tmp_path / one.key)
    told: list[Progress] = []
    waiting = threading.Thread(target=fill, args=(StatisticsFolder(tmp_path), llama, TEXTS, [one], SMALL, told.append))
    waiting.start()
    time.sleep(0.3)
    assert not told
    lease.release()
    waiting.join()
    assert told
    assert not StatisticsFolder(tmp_path).missing([one.key])


def test_arrays_that_are_not_those_written_are_refused(tmp_path: Path, llama: LiveModel) -> None:
    [one] = keyed("gram")
    filled(tmp_path, llama, "gram")
    path = min((tmp_path / one.key).glob("window-*"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    folder = StatisticsFolder(tmp_path)
    with pytest.raises(InputError, match="corrupt"):
        [folder.tensor(one.key, name) for name in llama.places]


def test_a_statistic_of_another_model_is_not_taken(tmp_path: Path, llama: LiveModel) -> None:
    other = Keyed.of(Wanted("gram"), "F", calibration(5))
    with pytest.raises(ValueError, match="other texts"):
        fill(StatisticsFolder(tmp_path), llama, TEXTS, [other])


def test_removal(tmp_path: Path, llama: LiveModel) -> None:
    folder = filled(tmp_path, llama, "gram")
    [key] = folder.keys()
    assert folder.bytes(key) > 15 * 16 * 16 * 4
    folder.remove(key)
    assert folder.keys() == ()
    assert folder.missing([key]) == (key,)


def test_the_key_is_of_everything_that_changes_values() -> None:
    keys = {
        key_of(Wanted("gram"), "F", TEXTS),
        key_of(Wanted("gram"), "G", TEXTS),
        key_of(Wanted("gram", {"limit": 4}), "F", TEXTS),
        key_of(Wanted("channel_abs"), "F", TEXTS),
        key_of(Wanted("gram"), "F", TEXTS, "bfloat16"),
        key_of(Wanted("gram"), "F", calibration(12, 7, 9, seed=1)),
        key_of(Wanted("fisher"), "F", TEXTS),
        key_of(Wanted("fisher", {"batch": 2}), "F", TEXTS),
        key_of(Wanted("fisher"), "F", calibration(12, 7, 9, answer=2)),
    }
    assert len(keys) == 9
    assert key_of(Wanted("gram", {"limit": None}), "F", TEXTS) == key_of(Wanted("gram"), "F", calibration(12, 7, 9))
    assert json.dumps(keyed("gram")[0].about)
    with pytest.raises(InputError, match="did you mean 'gram'"):
        key_of(Wanted("grma"), "F", TEXTS)
