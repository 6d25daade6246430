"""The run store."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from evomerge.errors import InputError
from evomerge.evaluation import Evaluation, Response, ResponseRef
from evomerge.store.files import append_synced, drop_torn_tail, whole_lines, write_json, write_text
from evomerge.store.identity import refuse_other

FORMAT = 1
# Files a run makes; a folder holding anything else was not made by a run and is not taken over.
_MANIFEST, _FOLDED = "manifest.json", "evaluations.jsonl"


class RunStore:
    """One run's records and responses.

    Use :meth:`open` to write and :meth:`read` to look.

    Attributes:
        folder: The run's folder.
        manifest: What the run is: see README for the fields.
        writer: Name of this process's own log files.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], writer: str | None) -> None:
        self.folder = folder
        self.manifest = manifest
        self.writer = writer
        self._lock: IO[bytes] | None = None
        self._records: dict[tuple[str, str], Evaluation] = {}

    @classmethod
    def open(
        cls, folder: str | Path, manifest: Mapping[str, Any], identity: Mapping[str, Any], writer: str = "main"
    ) -> RunStore:
        """Creates a run's folder, or goes on with one of the same identity.

        Args:
            folder: The run's folder.
            manifest: Written as ``manifest.json``; budgets and versions in it may differ from an earlier start.
            identity: What changes a score or a proposal. It must equal that of the run already in the folder.
            writer: Name of this process's own log files.

        Raises:
            InputError: If the folder holds another run, something else, or is being written by another process.
        """
        path = Path(folder).expanduser()
        identity = json.loads(json.dumps(identity))
        if (path / _MANIFEST).exists():
            stored = _read_json(path / _MANIFEST)
            if stored.get("format") != FORMAT:
                raise InputError(f"{path} has run format {stored.get('format')!r}; this version writes format {FORMAT}")
            refuse_other(str(path), stored.get("identity", {}), identity)
        elif path.exists() and (not path.is_dir() or any(_foreign(path))):
            raise InputError(f"{path} is not a run's folder and is not empty; choose another run_dir")
        (path / "records").mkdir(parents=True, exist_ok=True)
        (path / "responses").mkdir(exist_ok=True)
        store = cls(path, {"format": FORMAT, **manifest, "identity": identity}, writer)
        store._take_lock()
        for kind in ("records", "responses"):
            drop_torn_tail(path / kind / f"{writer}.jsonl")
        write_json(path / _MANIFEST, store.manifest)
        store._load()
        return store

    @classmethod
    def read(cls, folder: str | Path) -> RunStore:
        """Opens a run to look at it; nothing in the folder is changed.

        Raises:
            InputError: If the folder holds no run.
        """
        path = Path(folder).expanduser()
        if not (path / _MANIFEST).exists():
            raise InputError(f"{path} holds no run: there is no {_MANIFEST} in it")
        store = cls(path, _read_json(path / _MANIFEST), None)
        store._load()
        return store

    def append(self, evaluation: Evaluation, responses: Iterable[Response] = ()) -> Evaluation:
        """Keeps an evaluation: its responses first, then its record.

        Returns:
            The evaluation with the place of its responses filled in.

        Raises:
            ValueError: If the recipe has already been scored on the split, or the store was opened to read.
        """
        if self.writer is None:
            raise ValueError("this store was opened to read")
        if (evaluation.digest, evaluation.split) in self._records:
            raise ValueError(f"recipe {evaluation.digest[:12]} has already been scored on the {evaluation.split} split")
        lines = b"".join(_line(response.to_json()) for response in responses)
        if lines:
            name = f"{self.writer}.jsonl"
            start = append_synced(self.folder / "responses" / name, lines)
            evaluation = replace(evaluation, responses=ResponseRef(name, start, len(lines)))
        append_synced(self.folder / "records" / f"{self.writer}.jsonl", _line(evaluation.to_json()))
        self._records[evaluation.digest, evaluation.split] = evaluation
        return evaluation

    def find(self, digest: str, split: str) -> Evaluation | None:
        """The evaluation of a recipe on a split, or None when it was never scored."""
        return self._records.get((digest, split))

    def evaluations(self, split: str | None = None) -> list[Evaluation]:
        """All evaluations, or those of one split, sorted by (split, batch, index)."""
        chosen = [e for e in self._records.values() if split is None or e.split == split]
        return sorted(chosen, key=lambda evaluation: evaluation.order)

    def responses(self, evaluation: Evaluation) -> list[Response]:
        """The per-item responses of an evaluation; empty for a failed one."""
        ref = evaluation.responses
        if ref is None:
            return []
        path = self.folder / "responses" / Path(ref.file).name
        with path.open("rb") as file:
            file.seek(ref.start)
            data = file.read(ref.length)
        return [Response.from_json(json.loads(line)) for line in data.splitlines()]

    def fold(self) -> Path:
        """Writes all records, sorted, to ``evaluations.jsonl``."""
        path = self.folder / _FOLDED
        write_text(path, "".join(_line(e.to_json()).decode() for e in self.evaluations()))
        return path

    def write_json(self, name: str, data: Any) -> Path:
        """Writes a JSON file into the run's folder in one step."""
        write_json(self.folder / name, data)
        return self.folder / name

    def write_text(self, name: str, text: str) -> Path:
        """Writes a text file into the run's folder in one step."""
        write_text(self.folder / name, text)
        return self.folder / name

    def read_json(self, name: str) -> Any:
        """Reads a JSON file of the run's folder; None when it is not there."""
        path = self.folder / name
        return _read_json(path) if path.exists() else None

    def close(self) -> None:
        """Lets other processes write to the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> RunStore:
        """Closes the store at the end of a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the store."""
        self.close()

    def _take_lock(self) -> None:
        lock = (self.folder / "records" / f".{self.writer}.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise InputError(f"{self.folder} is being written by another process") from error
        self._lock = lock

    def _load(self) -> None:
        for path in sorted((self.folder / "records").glob("*.jsonl")):
            for data in whole_lines(path):
                evaluation = Evaluation.from_json(data)
                self._records.setdefault((evaluation.digest, evaluation.split), evaluation)


def _foreign(folder: Path) -> Iterable[Path]:
    """What lies in a folder besides the traces of a run killed before its manifest was written, and Hydra's."""
    expected = {"records", "responses", ".hydra"}
    return (
        entry for entry in folder.iterdir() if entry.name not in expected and not entry.name.endswith((".log", ".tmp"))
    )


def _line(data: Any) -> bytes:
    return (json.dumps(data, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n").encode()


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
