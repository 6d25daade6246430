"""TensorBoard: event files in the run's folder, written by tensorboardX, which brings no TensorBoard along."""

from __future__ import annotations

import os
import re
import secrets
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evomerge.tracking._shared.clean_names import CleanNames
from evomerge.tracking._shared.protocol import STEP, Entry, TrackedRun, Tracker
from evomerge.tracking._shared.spec import TrackerSpec

__all__ = ["TRACKER", "TensorBoard"]

_HEAD, _CHECKSUM = struct.Struct("<QI"), 4  # of a record: its length and that number's checksum; after it, its own


class TensorBoard:
    """Scalars under the names of entries, the configuration and the report as texts.

    Every session writes a file of its own. What a crash has left of an entry is cut off when the next one begins, which
    writes the entry again. (Readers can be told instead where a session begins, and hide what others wrote of later
    steps; that goes wrong where files of several sessions do not sort in the order of these, as after a clock was set.)

    Args:
        run: The run.
    """

    def __init__(self, run: TrackedRun) -> None:
        from tensorboardX import SummaryWriter

        self._held: dict[tuple[str, int], Any] = {}  # tag and step to a number or a text
        records = [(path, one) for path in sorted(run.folder.glob("*.tfevents.*")) for one in _records(path)]
        self._last = max((one.step for _, one in records for tag in one.values if tag == STEP), default=-1)
        for path, one in records:
            if one.step > self._last and one.values:
                os.truncate(path, min(one.start, path.stat().st_size))
            else:
                self._held |= {(tag, one.step): value for tag, value in one.values.items()}
        self._clean = CleanNames(r"[^-/\w.]", re.ASCII)
        # The library names files by the second.
        self._writer = SummaryWriter(str(run.folder), filename_suffix=f".{secrets.token_hex(4)}")
        self._text("configuration", _table(run.config), 0)
        self._writer.flush()

    def last(self) -> int:
        """The last step whose entry is whole: its own number is written last."""
        return self._last

    def log(self, entries: Sequence[Entry]) -> None:
        """Writes entries and waits until they are in the file."""
        for entry in entries:
            for name, value in entry.values.items():
                self._writer.add_scalar(self._clean(name), value, entry.step, walltime=entry.time)
        self._writer.flush()

    def conclude(self, step: int, values: Mapping[str, float], files: Sequence[Path]) -> None:
        """Writes values that are not there yet, and the report where it is Markdown."""
        for name, value in values.items():
            tag = self._clean(name)
            if self._held.get((tag, step)) != np.float32(value):
                self._writer.add_scalar(tag, value, step)
        for path in files:
            if path.suffix == ".md":
                self._text("report", path.read_text(encoding="utf-8"), step)
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()

    def _text(self, tag: str, text: str, step: int) -> None:
        if self._held.get((f"{tag}/text_summary", step)) != text:
            self._writer.add_text(tag, text, step)


def _table(config: Mapping[str, Any]) -> str:
    rows = "".join(f"| {name} | {value} |\n" for name, value in config.items())
    return f"| key | value |\n|---|---|\n{rows}"


@dataclass(frozen=True)
class _Record:
    """A record of an event file: where it starts, its step, and tag to the number or the text in it."""

    start: int
    step: int
    values: Mapping[str, Any]


def _records(path: Path) -> Iterator[_Record]:
    """The records of an event file; a crash may have torn the last one."""
    from tensorboardX.proto.event_pb2 import Event

    data, start = path.read_bytes(), 0
    while start + _HEAD.size <= len(data):
        length, _ = _HEAD.unpack_from(data, start)
        end = start + _HEAD.size + length + _CHECKSUM
        if end > len(data):
            return
        event = Event.FromString(data[start + _HEAD.size : end - _CHECKSUM])
        yield _Record(start, event.step, {value.tag: _value(value) for value in event.summary.value})
        start = end


def _value(value: Any) -> Any:
    texts = value.tensor.string_val
    return texts[0].decode() if texts else np.float32(value.simple_value)


def make(run: TrackedRun, options: Mapping[str, Any]) -> Tracker:
    """Makes the tracker."""
    return TensorBoard(run)


TRACKER = TrackerSpec(
    name="tensorboard",
    title="event files for TensorBoard, in the run's folder: tensorboard --logdir RUN/tracking/tensorboard",
    make=make,
    library="tensorboardX",
    install="pip install 'evomerge[tensorboard]'",
)
