"""The states that a power cut may leave of a folder, from the system calls of the processes that wrote it.

What a process has written is on disk when it has waited for it (fsync); the rest may be there whole, in part, as
zeros, or not at all, and so may the names of new, renamed and removed files. `Disk` follows a trace of strace call by
call and knows both, what programs see and what is safe; `Disk.after_a_cut` draws one of the states that a power cut at
this moment may leave.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["CALLS", "Disk", "Inode", "calls", "materialise", "strace"]

CALLS = (
    "open,openat,creat,write,pwrite64,writev,ftruncate,truncate,fsync,fdatasync,rename,renameat,renameat2,link,linkat,"
    "unlink,unlinkat,mkdir,mkdirat,rmdir"
)
PAGE = 4096  # what a disk keeps or loses as one

Call = tuple[str, str, str]
_LINE = re.compile(r"^(?P<pid>\d+) +(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)(?P<rest>.*)$", re.DOTALL)
_RESUMED = re.compile(r"^(?P<pid>\d+) +<\.\.\. \w+ resumed>(?P<end>.*)$", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_DESCRIPTOR = re.compile(r"^\d+<((?:\\x[0-9a-f]{2})+)>")


def strace(trace: Path) -> list[str]:
    """The words before a program's that write a trace as `calls` reads it."""
    options = ["-f", "-qq", "-y", "-xx", "-s", "100000000", "-e", f"trace={CALLS}", "-e", "signal=none"]
    return ["strace", *options, "-o", str(trace)]


def calls(trace: Path) -> Iterator[Call]:
    """Name, arguments and what follows the result of each call that did not fail, in the order in which they ended."""
    begun: dict[str, str] = {}
    for text in trace.read_text(encoding="ascii").splitlines():
        pid = text.split(" ", 1)[0]
        if text.endswith(_UNFINISHED):
            begun[pid] = text.removesuffix(_UNFINISHED)
            continue
        if resumed := _RESUMED.match(text):
            text = begun.pop(pid) + resumed["end"]
        found = _LINE.match(text)
        if found is not None and int(found["result"]) >= 0:
            yield found["name"], found["arguments"], f"{found['result']}{found['rest']}"


@dataclass(eq=False)
class Inode:
    """A file.

    Attributes:
        seen: What programs read.
        safe: What was waited for.
    """

    seen: bytes = b""
    safe: bytes = b""


@dataclass
class Names:
    """A folder.

    Attributes:
        safe: Name to file; what survives for certain.
        waiting: Changes in order: a name, and its file or None where it was removed. A prefix of them survives.
    """

    safe: dict[str, Inode] = field(default_factory=dict)
    waiting: list[dict[str, Inode | None]] = field(default_factory=list)

    def seen(self, count: int | None = None) -> dict[str, Inode]:
        """The names after so many of the changes that wait, or after all."""
        found: dict[str, Inode | None] = dict(self.safe)
        for change in self.waiting[:count]:
            found |= change
        return {name: inode for name, inode in found.items() if inode is not None}


@dataclass
class Disk:
    """What lies under a folder, as programs see it and as a power cut may leave it.

    Attributes:
        root: The folder.
        journalled: Whether waiting for a file makes all earlier changes of names safe, as ext4, XFS and Btrfs do; by
            POSIX only waiting for a folder makes its names safe.
        folders: Path to the names in it.
    """

    root: str
    journalled: bool = False
    folders: dict[str, Names] = field(default_factory=dict)

    def apply(self, call: Call) -> bool:
        """Follows a call; whether it changed something under the folder."""
        name, arguments, result = call
        texts = [bytes.fromhex(found[1].replace("\\x", "")) for found in _STRING.finditer(arguments)]
        if name in ("open", "openat", "creat"):
            return self._open(texts[0].decode(), arguments, result)
        if name in ("write", "pwrite64", "writev", "ftruncate", "fsync", "fdatasync"):
            found = _DESCRIPTOR.match(arguments)
            return found is not None and self._by_descriptor(name, _path(found[1]), texts, arguments, result)
        paths = [text.decode() for text in texts]
        if name in ("mkdir", "mkdirat"):
            return self._mkdir(paths[0])
        if name in ("rename", "renameat", "renameat2", "link", "linkat"):
            return self._rename(paths[0], paths[1], keep=name.startswith("link"))
        if name in ("unlink", "unlinkat") and self._inside(paths[0]):
            return self._change(paths[0], None)
        return False

    def _inside(self, path: str) -> bool:
        return path == self.root or path.startswith(f"{self.root}/")

    def _names(self, path: str) -> tuple[Names, str]:
        folder, _, name = path.rpartition("/")
        return self.folders.setdefault(folder, Names()), name

    def file(self, path: str) -> Inode | None:
        """The file that programs find under a path."""
        names, name = self._names(path)
        return names.seen().get(name)

    def _change(self, path: str, inode: Inode | None) -> bool:
        names, name = self._names(path)
        names.waiting.append({name: inode})
        return True

    def _mkdir(self, path: str) -> bool:
        if self._inside(path):
            self.folders.setdefault(path, Names())
        return False  # folders that hold nothing are of no interest

    def _open(self, path: str, arguments: str, result: str) -> bool:
        if not self._inside(path) or "O_DIRECTORY" in arguments:
            return False
        inode = self.file(path)
        if inode is None and "O_CREAT" in arguments:
            return self._change(path, Inode())
        if inode is not None and "O_TRUNC" in arguments:
            inode.seen = b""
            return True
        return False

    def _rename(self, old: str, new: str, keep: bool) -> bool:
        if not self._inside(new):
            return False
        inode = self.file(old)
        assert inode is not None, f"{old} came from elsewhere"
        (names, before), (others, after) = self._names(old), self._names(new)
        assert names is others, "a file changed its folder"
        names.waiting.append({after: inode} if keep else {before: None, after: inode})
        return True

    def _by_descriptor(self, name: str, path: str, texts: Sequence[bytes], arguments: str, result: str) -> bool:
        if name in ("fsync", "fdatasync") and path in self.folders:
            self._settle(self.folders[path])
            return True
        inode = self.file(path) if self._inside(path) else None
        if inode is None:
            return False
        if name in ("fsync", "fdatasync"):
            inode.safe = inode.seen
            if self.journalled:
                for names in self.folders.values():
                    self._settle(names)
        elif name == "ftruncate":
            size = int(arguments.rpartition(",")[2])
            inode.seen = inode.seen[:size].ljust(size, b"\0")
        elif name == "pwrite64":
            start, data = int(arguments.rpartition(",")[2]), texts[0]
            inode.seen = inode.seen[:start].ljust(start, b"\0") + data + inode.seen[start + len(data) :]
        else:
            inode.seen += b"".join(texts)[: int(result.split()[0])]
        return True

    def _settle(self, names: Names) -> None:
        names.safe, names.waiting = names.seen(), []

    def seen(self) -> dict[str, bytes]:
        """Path to content of every file, as programs see it."""
        return {
            f"{folder}/{name}": inode.seen
            for folder, names in self.folders.items()
            for name, inode in names.seen().items()
        }

    def after_a_cut(self, draw: random.Random) -> dict[str, bytes]:
        """Path to content of every file that a power cut at this moment may leave."""
        counts = {folder: draw.randint(0, len(names.waiting)) for folder, names in self.folders.items()}
        if self.journalled:  # one journal: what was changed before anything that survived has survived as well
            share = draw.random()
            counts = {folder: round(share * len(names.waiting)) for folder, names in self.folders.items()}
        return {
            f"{folder}/{name}": torn(inode, draw)
            for folder, names in self.folders.items()
            for name, inode in names.seen(counts[folder]).items()
        }


def torn(inode: Inode, draw: random.Random) -> bytes:
    """A content that a file may have after a power cut: all that is safe, and some of the rest."""
    safe, seen = inode.safe, inode.seen
    if safe == seen:
        return seen
    first = next((i for i, (a, b) in enumerate(zip(safe, seen, strict=False)) if a != b), min(len(safe), len(seen)))
    if len(seen) < len(safe):  # it was cut, and that may be undone
        return draw.choice((safe, seen))
    kind = draw.choice(("safe", "seen", "cut", "zeros", "holes"))
    if kind in ("safe", "seen"):
        return safe if kind == "safe" else seen
    place = draw.randint(first, len(seen))
    if kind == "cut":
        return seen[:place]
    if kind == "zeros":  # the size came to the disk, and the data did not
        return seen[:place] + bytes(len(seen) - place)
    data = bytearray(seen)
    for page in range(first // PAGE, len(seen) // PAGE + 1):
        if draw.random() < 0.5:
            start, end = max(first, page * PAGE), min(len(seen), (page + 1) * PAGE)
            data[start:end] = bytes(end - start)
    return bytes(data)


def materialise(files: dict[str, bytes], root: str, folder: Path) -> None:
    """Writes a state into a folder, in the place of whatever is there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path, data in files.items():
        target = folder / path.removeprefix(f"{root}/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _path(hexadecimal: str) -> str:
    return bytes.fromhex(hexadecimal.replace("\\x", "")).decode().removesuffix(" (deleted)")
