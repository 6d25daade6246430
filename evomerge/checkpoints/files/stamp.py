"""The stamp of a folder's files: equal stamps are the same bytes, without reading them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from evomerge.lease import this_machine

_SUFFIXES = (".safetensors", ".json")


@dataclass(frozen=True)
class FolderStamp:
    """Sizes, times and places of the files that a checkpoint's weights are read from.

    A stamp has to be taken before the bytes are read that it stands for: what is written meanwhile then shows.

    Attributes:
        machine: The machine that it was taken on; numbers of files mean nothing on another one.
        files: Name, size, both times in nanoseconds, number of the file and of its file system.
    """

    machine: str
    files: tuple[tuple[str, int, int, int, int, int], ...]

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The stamp of the weights, indices and configurations in a folder, as they are now."""
        found = []
        for path in sorted(folder.iterdir()):
            if path.suffix in _SUFFIXES and path.is_file():
                about = path.stat()
                times = (about.st_mtime_ns, about.st_ctime_ns)
                found.append((path.name, about.st_size, *times, about.st_ino, about.st_dev))
        return cls(this_machine(), tuple(found))
