"""Weights & Biases: offline unless the user asks for the network; ``wandb sync`` sends an offline run later."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evomerge.options import Option
from evomerge.tracking._shared.protocol import STEP, Entry, TrackedRun, Tracker
from evomerge.tracking._shared.spec import TrackerSpec

__all__ = ["TRACKER", "WeightsAndBiases"]

# The library's logs: blocks as LevelDB has them, after a head. A record that does not fit a block comes in pieces.
_HEAD, _BLOCK, _PIECE = 7, 32768, struct.Struct("<IHB")
_PATIENCE = 30.0  # seconds that the library has for its log at a session's end
_WHOLE, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4


class WeightsAndBiases:
    """History by number of evaluations, conclusions as the summary, the report as an artefact.

    The library loses what it has not written when its process is killed; the next session, which has the same run's
    id, finds in its logs what there is and sends the rest.

    Args:
        run: The run.
        options: As declared.
    """

    def __init__(self, run: TrackedRun, options: Mapping[str, Any]) -> None:
        if options["mode"] == "online" and not known(os.environ):
            raise PermissionError("nobody is logged in: run `wandb login` there, or set WANDB_API_KEY")
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # else it reports to its makers, offline too
        import wandb

        self._library = wandb
        self._id = run.id
        self._last = max((step for path in sorted(run.folder.rglob("*.wandb")) for step in _steps(path)), default=-1)
        _wait_for_a_new_second(run.folder)
        quiet = {"console": "off", "silent": True, "disable_git": True, "disable_code": True, "x_disable_stats": True}
        self._session = wandb.init(
            project=options["project"],
            entity=options["entity"],
            mode=options["mode"],
            id=run.id,
            resume="allow",
            name=run.name,
            dir=str(run.folder),
            config=dict(run.config),
            reinit="create_new",
            settings=wandb.Settings(**quiet),
        )
        self._session.define_metric(STEP)
        self._session.define_metric("*", step_metric=STEP)

    def last(self) -> int:
        """The last step in the logs of earlier sessions."""
        return self._last

    def log(self, entries: Sequence[Entry]) -> None:
        """Logs entries; the number of evaluations is the axis of all."""
        for entry in entries:
            self._session.log(dict(entry.values))

    def conclude(self, step: int, values: Mapping[str, float], files: Sequence[Path]) -> None:
        """Puts values into the summary, and the report into an artefact; the same report makes no new version."""
        self._session.summary.update(dict(values))
        report = self._library.Artifact(f"report-{self._id}", type="report")
        for path in files:
            report.add_file(str(path))
        self._session.log_artifact(report)

    def close(self) -> None:
        """Waits until all is written, or sent.

        Raises:
            TimeoutError: If the library does not write its log.
        """
        log = Path(self._session.settings.sync_file)
        self._session.finish()
        # The library comes back before the log is whole, and until then refuses another session of the run.
        until = time.monotonic() + _PATIENCE
        while not any(record.WhichOneof("record_type") == "exit" for record in _logged(log)):
            if time.monotonic() > until:
                raise TimeoutError(f"{log} was not written within {_PATIENCE:g} seconds")
            time.sleep(0.02)


def _wait_for_a_new_second(folder: Path) -> None:
    """Waits where an earlier session began within this second: the library names folders by it, and replaces files."""
    while any(folder.glob(f"wandb/*run-{time.strftime('%Y%m%d_%H%M%S')}-*")):
        time.sleep(0.1)


def _steps(path: Path) -> Iterator[int]:
    """The steps that a log of the library holds."""
    for record in _logged(path):
        if record.WhichOneof("record_type") == "history":
            for item in record.history.item:
                if STEP in (item.key, *item.nested_key):
                    yield int(json.loads(item.value_json))


def _logged(path: Path) -> Iterator[Any]:
    """The messages of a log of the library."""
    from wandb.proto.wandb_internal_pb2 import Record

    return map(Record.FromString, _records(path.read_bytes()))


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a log; a crash may have torn the last one."""
    start, pieces = _HEAD, b""
    while start + _PIECE.size <= len(data):
        left = _BLOCK - start % _BLOCK
        if left < _PIECE.size:
            start += left  # no piece begins so near a block's end
            continue
        _, length, kind = _PIECE.unpack_from(data, start)
        start += _PIECE.size
        if kind not in (_WHOLE, _FIRST, _MIDDLE, _LAST) or start + length > len(data):
            return
        pieces = (b"" if kind in (_WHOLE, _FIRST) else pieces) + data[start : start + length]
        start += length
        if kind in (_WHOLE, _LAST):
            yield pieces


def known(environment: Mapping[str, str]) -> bool:
    """Whether somebody may be logged in: else the library would ask on the terminal, in the middle of a search."""
    if any(environment.get(name) for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")):
        return True
    kept = [environment["NETRC"]] if "NETRC" in environment else ["~/.netrc", "~/_netrc"]
    return any(Path(name).expanduser().is_file() for name in kept)


def make(run: TrackedRun, options: Mapping[str, Any]) -> Tracker:
    """Makes the tracker."""
    return WeightsAndBiases(run, options)


TRACKER = TrackerSpec(
    name="wandb",
    title="Weights & Biases, offline in the run's folder unless mode=online; wandb sync sends RUN/tracking/wandb later",
    make=make,
    library="wandb",
    install="pip install 'evomerge[wandb]'",
    options={
        "mode": Option("offline", ("offline", "online"), str, "online opens connections; offline never does"),
        "project": Option("evomerge", None, str, "the project"),
        "entity": Option(None, None, str, "the user or team; none: the default of whoever is logged in"),
    },
)
