"""Runs cases, each in a process of its own that is forked from one which has imported everything.

A case takes as long as its command: the seconds that importing takes are spent once.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import select
import shutil
import signal
import threading
import time
from dataclasses import asdict
from pathlib import Path

import datasets
import huggingface_hub
import torch
from tqdm import tqdm

import evomerge
from evomerge import kernels
from evomerge.cli.main import main as command
from experiments.fuzz import material, oracle
from experiments.fuzz.cases import MAY_NAME_ANY_MODEL, MERGE, prepare
from experiments.fuzz.judge import Ran, listing, verdict
from experiments.fuzz.watch import Watch, limit

MEMORY = 1 << 30  # bytes that a case may take beyond what the server has
SECONDS = 10  # of the processor that a case may take
PATIENCE = 60  # seconds until a case that waits for something is given up

Record = dict[str, object]


class Server:
    """Runs cases one after another.

    Args:
        folder: Where each case gets a folder, which is removed after it.
        seed: Of the study.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._seed = folder.resolve(), seed
        self._material, self._caches = self._folder / "material", self._folder / "caches"
        if not self._material.exists():
            draft = self._folder / "draft"
            shutil.rmtree(draft, ignore_errors=True)
            material.build(draft)
            draft.rename(self._material)
        import_all()
        kernels.in_use("cpu")  # compiled, where they are not yet, by a process that may

    def run(self, family: str, number: int, *, merged: bool = False) -> Record:
        """Runs one case and judges it.

        Args:
            family: Of the case.
            number: Of the case.
            merged: Whether the command is a merge, which takes the least time, whatever the case would have.
        """
        scratch = self._folder / f"{family.replace(' ', '_')}-{number}"
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(self._material, scratch)
        try:
            done = prepare(family, number, self._seed, scratch)
            before = listing(scratch)
            words = tuple(MERGE) if merged and family not in MAY_NAME_ANY_MODEL else done.words
            ran = self._forked(scratch, words, watched=family not in MAY_NAME_ANY_MODEL)
            after = listing(scratch)
            ran.left = [name for name, about in after.items() if before.get(name) != about]
            ran.left += [f"{name} (gone)" for name in before if name not in after]
            judged, reasons = verdict(ran, done.file)
            said = ran.said.replace(f"{scratch}/", "").replace(str(self._folder), "...").strip()
            about = {"family": family, "number": number, "verb": words[0], "file": done.file, "what": done.what}
            return {
                **about,
                "verdict": judged,
                "reasons": reasons,
                "said": said[:1000],
                "seconds": round(ran.seconds, 3),
            }
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _forked(self, scratch: Path, words: tuple[str, ...], *, watched: bool) -> Ran:
        reading, writing = os.pipe()
        start = time.perf_counter()
        child = os.fork()
        if not child:
            os.close(reading)
            code = 1
            try:
                ran = self._inside(scratch, words, watched=watched)
                with os.fdopen(writing, "w") as pipe:
                    pipe.write(json.dumps(asdict(ran)))
                code = 0
            finally:
                os._exit(code)
        os.close(writing)
        text = _read(reading, PATIENCE)
        seconds = time.perf_counter() - start
        if text is None:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if text is None:
            return Ran(None, seconds=seconds)
        if code:
            return Ran(code, "the process ended before its command did", seconds=seconds)
        return Ran(**{**json.loads(text), "seconds": seconds})

    def _inside(self, scratch: Path, words: tuple[str, ...], *, watched: bool) -> Ran:
        """Runs the command in this process, which is only there for it."""
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        os.chdir(scratch)
        gc.freeze()  # what the server has is not looked through again
        torch.set_num_threads(1)
        datasets.config.HF_DATASETS_CACHE = self._caches / "datasets"
        huggingface_hub.constants.HF_HUB_CACHE = str(self._caches / "hub")
        limit(MEMORY, SECONDS)
        watch = Watch(scratch, scratch / "secret" if watched else None, (str(self._caches),))
        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            code = command(words)
        watch.stop()
        seen = list(dict.fromkeys(watch.seen))
        others = oracle.refusals(words[0], scratch) if code == 0 else []
        return Ran(code, said.getvalue(), seen, [], others)


def import_all() -> None:
    """Imports what commands import when they need it: seconds that every case would take again.

    By default all processes forked from one share a lock for their progress bars, and the next ones wait forever for
    what a killed one held. Commands that people start share nothing.
    """
    tqdm.monitor_interval = 0  # no thread that could hold a lock while this process is forked
    tqdm.set_lock(threading.RLock())
    for module in pkgutil.walk_packages(evomerge.__path__, "evomerge."):
        if not any(part in module.name for part in (".contracts", ".fused", ".__main__")):
            importlib.import_module(module.name)


def _read(descriptor: int, seconds: float) -> str | None:
    """All that is written to a pipe; None where it takes longer."""
    end, parts = time.monotonic() + seconds, []
    with os.fdopen(descriptor, "rb", buffering=0) as pipe:
        while True:
            ready, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return None
            part = pipe.read(1 << 16)
            if not part:
                return b"".join(parts).decode()
            parts.append(part)
