"""Store of prepared arrays, shared by all candidates, by all workers of a run, and with the run's next start.

Prepared arrays do not depend on coefficients, so a search computes them once. On disk they are files that every worker
maps: their memory is then the page cache's, one copy for the machine, given back when it is short. A file is known by
its key, a digest of everything that the arrays depend on, the source code that made them included. Whatever does not
carry that key, or not the values that were written, is made again.
"""

from __future__ import annotations

import hashlib
import secrets
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from evomerge import kernels, methods, post
from evomerge.checkpoints import map_arrays, write_arrays
from evomerge.errors import InputError
from evomerge.lease import Lease
from evomerge.merging.plan.outputs import Outputs, OutputTensor
from evomerge.merging.plan.recipe_source import Prepare
from evomerge.merging.prepared.notice import PreparationNotice

Arrays = Mapping[str, torch.Tensor]
Place = Literal["disk", "memory", "nowhere"]

# Data of one file; with less, an interruption loses less.
_FILE_BYTES = 1 << 28
_POLL = 0.1  # seconds between looks at whether another worker is done


@dataclass(frozen=True)
class PreparedSettings:
    """Limits of the store. Arrays that fit neither on disk nor in memory are prepared anew for every candidate.

    Attributes:
        folder: A private folder, shared by the workers of one run; None: never on disk. What it lies in has to be
            there: a machine that does not see the run's folder keeps everything in memory, and nothing is left on it.
        disk: Most bytes there.
        memory: Most bytes in each worker's own memory, of what is not on disk.
    """

    folder: str | None = None
    disk: int = 20_000_000_000
    memory: int = 4_000_000_000

    def plan(self, bounds: Mapping[str, int]) -> dict[str, Place]:
        """The place of each tensor's arrays, from the most that they take, in the order of the tensors."""
        left: dict[Place, int] = {"memory": self.memory}
        if self.folder is not None and self.disk:
            left = {"disk": self.disk, **left}
        plan: dict[str, Place] = {}
        for name, bound in bounds.items():
            plan[name] = next((place for place, room in left.items() if bound <= room), "nowhere")
            if plan[name] != "nowhere":
                left[plan[name]] -= bound
        return plan

    def without(self, bounds: Mapping[str, int], plan: Mapping[str, Place]) -> PreparedSettings:
        """The limits that are left to other arrays, when these have found the places of a plan."""
        taken = {at: sum(bounds[name] for name, place in plan.items() if place == at) for at in ("disk", "memory")}
        return replace(self, disk=self.disk - taken["disk"], memory=self.memory - taken["memory"])

    def shared(self, everywhere: bool) -> PreparedSettings:
        """The same without the folder, where others cannot use it or this machine does not see it.

        Args:
            everywhere: Whether the arrays' key means the same in other processes.
        """
        seen = self.folder is not None and Path(self.folder).parent.is_dir()
        return self if everywhere and seen else replace(self, folder=None)


class PreparedStore:
    """The prepared arrays of one method, its options and its models: those used last.

    Args:
        settings: Where they are kept.
    """

    def __init__(self, settings: PreparedSettings) -> None:
        self.settings = settings
        self._key: str | None = None
        self._kept: dict[str, Arrays] = {}
        self._plan: dict[str, Place] = {}  # of what is kept, which takes at most so many bytes:
        self._bounds: dict[str, int] = {}

    def get(self, key: str, name: str) -> Arrays | None:
        """The arrays of a tensor, or None if they are not kept."""
        return self._kept.get(name) if key == self._key else None

    def turn_to(self, key: str) -> None:
        """Forgets the arrays of any other key; their files go when arrays of this one are filled."""
        if key != self._key:
            self._key, self._kept, self._plan, self._bounds = key, {}, {}, {}

    def less(self, limits: PreparedSettings) -> PreparedSettings:
        """The part of limits that is left to others beside this store."""
        return limits.without(self._bounds, self._plan)

    def fill(
        self,
        key: str,
        bounds: Mapping[str, int],
        prepare: Prepare,
        *,
        everywhere: bool,
        room: PreparedSettings | None = None,
    ) -> None:
        """Makes sure that arrays are there, as far as there is room: found on disk, or prepared now.

        Another worker that fills the same folder is waited for, and what it prepared is used.

        Args:
            key: Everything that the arrays depend on, besides the code. Arrays of another key are forgotten.
            bounds: Most bytes for each tensor, by name.
            prepare: Prepares the arrays of the tensors that it is given the names of.
            everywhere: Whether the key means the same in other processes, so that they may share the arrays.
            room: Limits that are narrower than the store's own, for all that it keeps.
        """
        self.turn_to(key)
        settings = (room or self.settings).shared(everywhere)
        # What found no room before is asked for again: others may have made some.
        found = self.less(settings).plan({name: most for name, most in bounds.items() if name not in self._plan})
        plan = {name: place for name, place in found.items() if place != "nowhere"}
        if not plan:
            return
        if settings.folder is None or "disk" not in plan.values():
            self._prepare(plan, bounds, prepare, None)
        else:
            folder = _Folder(Path(settings.folder), f"{key} {code_digest()}")
            with folder.alone():
                self._kept |= folder.read()
                self._prepare(plan, bounds, prepare, folder)
        self._plan |= plan
        self._bounds |= {name: bounds[name] for name in plan}

    def _prepare(
        self, plan: Mapping[str, Place], bounds: Mapping[str, int], prepare: Prepare, folder: _Folder | None
    ) -> None:
        missing = [name for name in plan if name not in self._kept]
        pending: dict[str, Arrays] = {}
        notice = PreparationNotice({name: bounds[name] for name in missing})
        for name, arrays in notice.over(prepare(missing)):
            contiguous = {label: array.cpu().contiguous() for label, array in arrays.items()}
            self._kept[name] = contiguous
            if folder is not None and plan[name] == "disk" and contiguous:
                pending[name] = contiguous
                if sum(map(_size, pending.values())) >= _FILE_BYTES:
                    self._kept |= folder.write(pending)
                    pending = {}
        if folder is not None and pending:
            self._kept |= folder.write(pending)


def prepared_bounds(outputs: Outputs) -> dict[str, int]:
    """The most bytes that the method prepares, for each tensor that it prepares any arrays for."""
    return {name: prepared_bound(outputs, tensor) for name, tensor in outputs.prepared.items()}


def prepared_bound(outputs: Outputs, tensor: OutputTensor) -> int:
    """The most bytes that the method prepares for one tensor."""
    bound = outputs.method.prepared_bytes
    if bound is None or tensor.name not in outputs.prepared:
        return 0
    return bound(tensor.merged_spec.shape, tensor.slots, outputs.options)


def prepared_key(outputs: Outputs, device: torch.device) -> str:
    """Everything that prepared arrays depend on, besides their tensor and the code."""
    return f"{outputs.prepared_key} on {device.type}"


def code_digest() -> str:
    """SHA-256 over the code of all methods, steps and kernels: arrays that other code made may be other arrays."""
    digest = hashlib.sha256(torch.__version__.encode())
    for folder in (*methods.__path__, *post.__path__, *kernels.__path__):
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix in (".py", ".c", ".cpp", ".h"):
                digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


class _Folder:
    """The files of one key in a folder; files of other keys are removed from it.

    Args:
        path: The folder, made if need be.
        key: Everything that the arrays depend on.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path = path
        self._about = {"evomerge.prepared": hashlib.sha256(key.encode()).hexdigest()}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until no other process fills the folder, and keeps others waiting until this one is done, or dies."""
        lease = None
        while lease is None:
            try:
                self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
                lease = Lease.take(self._path)
            except (
                InputError,
                FileNotFoundError,
            ):  # another worker fills it, and what it prepares is used; or empties it
                time.sleep(_POLL)
            except OSError:  # no room for a lease is no room for arrays either: they are prepared in memory
                break
        try:
            yield
        finally:
            if lease is not None:
                lease.release()

    def read(self) -> dict[str, Arrays]:
        """The arrays that are there. Files that cannot be used are removed: nobody else can use them either."""
        found: dict[str, Arrays] = {}
        for path in sorted(self._path.glob("*part-*")):
            try:
                if path.name.startswith("."):
                    raise InputError(f"{str(path)!r} was never finished")
                found |= _parted(map_arrays(path, self._about))
            except InputError:
                path.unlink(missing_ok=True)
        return found

    def write(self, arrays: Mapping[str, Arrays]) -> Mapping[str, Arrays]:
        """Moves arrays from memory to a file; gives them as they are mapped, or as they are if the disk is full."""
        path = self._path / f"part-{secrets.token_hex(8)}.safetensors"
        try:
            write_arrays(path, _joined(arrays), self._about)
            return _parted(map_arrays(path, self._about))
        except (OSError, InputError) as error:
            warnings.warn(f"prepared arrays stay in memory, as they cannot be kept on disk: {error}", stacklevel=2)
            return arrays


def _joined(arrays: Mapping[str, Arrays]) -> dict[str, torch.Tensor]:
    return {f"{name}/{label}": array for name, inner in arrays.items() for label, array in inner.items()}


def _parted(joined: Arrays) -> dict[str, Arrays]:
    arrays: dict[str, dict[str, torch.Tensor]] = {}
    for key, array in joined.items():
        name, _, label = key.rpartition("/")
        arrays.setdefault(name, {})[label] = array
    return dict(arrays)


def _size(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays.values())
