"""Checkouts of the authors' own code: which files are read, at which commit, and how they are imported.

The code is no part of this project: it lies in a folder that the user names, one checkout for each repository under its
own name. Every file is held to the digest of the one that was read when the comparison was written.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from evomerge.errors import InputError


@dataclass(frozen=True)
class Repository:
    """A repository on GitHub.

    Attributes:
        owner: Its owner there.
        commit: The commit that the files are of.
        files: SHA-256 of each file that is read, by its path in the repository.
    """

    owner: str
    commit: str
    files: Mapping[str, str]


REPOSITORIES: Mapping[str, Repository] = {
    "STAR": Repository(
        "IBM",
        "e6bfcf70e6f9133141881dc427f81d3f50e463bc",
        {
            "merger/STAR.py": "9a90aad197ce273aa77d97d200f0e2c81b36fece06e094cc865dce04eb6d5d9c",
            "merger/simple_avg.py": "3515f8e0ddd594ce00b5d41a73287df45d28273d5e24c051f960e05382319f42",
        },
    ),
    "iso-merging": Repository(
        "danielm1405",
        "d34010af8ba129ef4d17a91ca9943b413fe06f8c",
        {"src/utils/iso.py": "7a5e9a39738f4736c7d162e4a3af16695a28b617fab5508fef1d80f4e18ad53f"},
    ),
    "task_singular_vectors": Repository(
        "AntoAndGar",
        "a6c97188f7aa0bb20753de4f2939be89dd64f1c3",
        {"src/utils/TSVM_utils.py": "7fc885102af0801634599faed1a9acfcdc56b0afdcda77fc039deeeafd0eca7a"},
    ),
    "KnOTS": Repository(
        "gstoica27",
        "baa35e85768b8841820d35edc3e41b25304248c5",
        {
            "task_merger.py": "12d32c867cb7826cb182ea5a8e60e77f602e76a98a232e915539e3ecd2a336c4",
            "masking_ops.py": "28313b39a5b20c73e74bba255ee2ac4ff21d65ba34c5dec877ba0ea65aade88c",
            "ft_handlers.py": "72b405f98a48f552db4615bf21568f93d24bee7dc79551f8d3c15aa4176e1033",
        },
    ),
    "MLLMerging": Repository(
        "WalkerWorldPeace",
        "5f8a45837560e9863dc557704082269c70cea229",
        {"LLaMA-Factory/swudi_aswudi.py": "f87eeac7918e5acd4d0cac378be417114f082b9b50b19162bf8ea432b793fc3d"},
    ),
    "WUDI-Merging": Repository(
        "nathanielyvo",
        "dc3cd1204a68d1930a32da11c5cddb0cbd7410bb",
        {"vit/wudi_main.py": "3a4f05d8a1f04a211343d28f6760d0ce7b5dbe3e225d2b2592fa66a283224b5e"},
    ),
}
"""Repositories by name, which is that of the checkout's folder too."""


@dataclass(frozen=True)
class Checkout:
    """One repository's files on this machine.

    Attributes:
        name: A key of :data:`REPOSITORIES`.
        folder: Where the checkout lies.
    """

    name: str
    folder: Path

    def path(self, file: str) -> Path:
        """A file, which is the one that it should be.

        Raises:
            InputError: If it is missing, or another file.
        """
        repository, path = REPOSITORIES[self.name], self.folder / file
        wanted = f"https://github.com/{repository.owner}/{self.name} at commit {repository.commit}"
        if not path.is_file():
            raise InputError(f"there is no file {str(path)!r}: check out {wanted} in {str(self.folder)!r}")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != repository.files[file]:
            raise InputError(
                f"{str(path)!r} is not the file of {wanted}: its SHA-256 is {found}, "
                f"not {repository.files[file]}; check out that commit"
            )
        return path

    def module(self, file: str, **given: Mapping[str, Any]) -> Any:
        """A file as a module.

        Args:
            file: Path in the repository.
            **given: Names of other modules that it imports, and what it finds in them: the rest of its repository, and
                packages that are not installed here. What is called afterwards needs no more of them.
        """
        path = self.path(file)
        spec = importlib.util.spec_from_file_location(f"authors_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        with _importing(given):
            spec.loader.exec_module(module)
        return module


@contextlib.contextmanager
def _importing(given: Mapping[str, Mapping[str, Any]]) -> Iterator[None]:
    """Modules that can be imported meanwhile; afterwards everything is as before."""
    modules, path = {name: sys.modules.get(name) for name in given}, list(sys.path)
    try:
        for name, found in given.items():
            sys.modules[name] = ModuleType(name)
            vars(sys.modules[name]).update(found)
        yield
    finally:
        sys.path[:] = path
        for name, before in modules.items():
            if before is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = before
