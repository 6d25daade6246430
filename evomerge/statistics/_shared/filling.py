"""From a collection to the folder of statistics: windows are written as they come, and a killed collection goes on."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from evomerge.checkpoints import write_arrays
from evomerge.lease import Lease, LeaseHeld
from evomerge.merging import LiveModel
from evomerge.statistics._shared.collection import Collection, Limits, Report, Window
from evomerge.statistics._shared.key import Keyed
from evomerge.statistics._shared.store import DESCRIPTION, ORIGIN, StatisticsFolder, described_text, headers
from evomerge.statistics._shared.texts import Calibration
from evomerge.texts import write_text

_POLL = 0.1  # seconds between looks at whether another collector is done
_UNSEEN = "no text reached it, or the model computes something else with it than a plain product"
_LIBRARIES = ("torch", "transformers")


def fill(
    folder: StatisticsFolder,
    live: LiveModel,
    calibration: Calibration,
    wanted: Sequence[Keyed],
    limits: Limits | None = None,
    report: Report | None = None,
) -> None:
    """Makes sure that statistics of a model are in a folder: found there, or collected now.

    Another process that collects any of them is waited for, and what it collected is used. What a killed process had
    collected is used as well, window by window.

    Args:
        folder: The folder.
        live: The model that the keys name, with its own weights.
        calibration: The texts that they name.
        wanted: The statistics.
        limits: Bounds.
        report: Told of progress.

    Raises:
        InputError: If a statistic has a problem, or there are no texts; all problems.
        ValueError: If a key names other texts, or another type of the model.
    """
    dtype = str(live.model.dtype).removeprefix("torch.")
    if any((one.about["texts"], one.about["dtype"]) != (calibration.digest, dtype) for one in wanted):
        raise ValueError("a key names other texts, or another type of the model, than those that are given")
    by_key = {one.key: one for one in wanted}
    absent = folder.missing(by_key)
    with alone(folder.path, absent):
        missing = [by_key[key] for key in folder.missing(absent)]  # another process may have been faster
        if missing:
            _collect(folder.path, live, calibration, missing, limits or Limits(), report)


def _collect(
    path: Path,
    live: LiveModel,
    calibration: Calibration,
    wanted: Sequence[Keyed],
    limits: Limits,
    report: Report | None,
) -> None:
    done = {one.key: tuple(_found(path / one.key)) for one in wanted}
    for one in wanted:
        write_text(path / one.key / DESCRIPTION, described_text({"key": one.about, "complete": False}))
    collection = Collection.of(live, calibration, {one.key: one.wanted for one in wanted}, limits, done)
    unseen: dict[str, tuple[str, ...]] = {}
    for window in collection.windows(report):
        _write(path, window)
        for key, names in window.unseen.items():
            unseen[key] = (*unseen.get(key, ()), *names)
        del window  # its arrays go before the next ones come
    for one in wanted:
        about = {"key": one.about, "complete": True, **_described(collection, one.key, unseen.get(one.key, ()))}
        write_text(path / one.key / DESCRIPTION, described_text(about))


def _found(folder: Path) -> list[str]:
    """Tensors that a collection which was killed has written; what it never finished is removed."""
    for path in folder.glob(".*"):
        if not path.name.startswith(".lease."):
            path.unlink(missing_ok=True)
    return list(headers(folder))


def _write(path: Path, window: Window) -> None:
    for key, arrays in window.arrays.items():
        number = len(list((path / key).glob("window-*")))
        write_arrays(path / key / f"window-{number:03d}.safetensors", arrays, {ORIGIN: key})


def _described(collection: Collection, key: str, unseen: Sequence[str]) -> dict[str, Any]:
    """The part of ``statistic.json`` that is known once all windows are there."""
    plan, calibration = collection.plan, collection.calibration
    gone = {name for name, other in plan.aliases[key].items() if other in unseen}
    notes = {name: text for name, text in plan.notes[key].items() if name not in unseen}
    return {
        "sequences": len(calibration.passages),
        "tokens": sum(len(passage.ids) for passage in calibration.passages),
        "aliases": {name: other for name, other in plan.aliases[key].items() if name not in gone},
        "absent": sorted({*plan.absent[key], *unseen, *gone}),
        "transposed": [name for name, tap in collection.taps.of.items() if tap.site.transposed],
        "notes": notes | dict.fromkeys((*unseen, *sorted(gone)), "no text reached it"),
        "threads": torch.get_num_threads(),
        "device": str(collection.live.model.device),
        "versions": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }


@contextmanager
def alone(path: Path, keys: Sequence[str]) -> Iterator[None]:
    """Waits until no other process collects any of these, and keeps others waiting until this one is done, or dies."""
    with ExitStack() as stack:
        for key in sorted(keys):  # in one order, so that two never wait for each other
            stack.callback(_taken(path / key).release)
        yield


def _taken(folder: Path) -> Lease:
    while True:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return Lease.take(folder)
        except (LeaseHeld, FileNotFoundError):  # another process collects it, or has just removed it
            time.sleep(_POLL)
