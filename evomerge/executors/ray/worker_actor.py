"""The inside of an actor: it keeps one worker process on its node, and says how that process ends."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from evomerge.errors import InputError
from evomerge.evaluation import Job
from evomerge.executors._shared.attempts import Death
from evomerge.executors._shared.limits import Limits
from evomerge.executors._shared.member import Member
from evomerge.executors._shared.occupation import place
from evomerge.executors._shared.parcel import opened
from evomerge.executors._shared.protocol import ExecutorError, Worker

__all__ = ["ActorSetup", "WorkerActor"]

_CARRIED = ("EVOMERGE_", "HF_", "TRANSFORMERS_", "TOKENIZERS_", "OMP_", "MKL_", "CUBLAS_", "PYTORCH_")


@dataclass(frozen=True)
class ActorSetup:
    """Everything that an actor needs to make workers as the driver would.

    Attributes:
        make_worker: The parcel of the factory of workers: the actor never loads what a worker needs.
        folder: The driver's current folder, which relative paths start from.
        environment: Those of the driver's variables that workers heed.
        timeout: Most seconds at a job, or None.
        memory: Most bytes of a worker's own memory, or None.
    """

    make_worker: bytes
    folder: str
    environment: Mapping[str, str]
    timeout: float | None = None
    memory: int | None = None

    @classmethod
    def of_driver(cls, make_worker: bytes, timeout: float | None, memory: int | None) -> ActorSetup:
        """The setup in the process that calls it. Tokens of services stay here; no worker needs them."""
        environment = {
            name: value for name, value in os.environ.items() if name.startswith(_CARRIED) and "TOKEN" not in name
        }
        return cls(make_worker, str(Path.cwd()), environment, timeout, memory)

    def enter(self) -> None:
        """Takes folder and variables over; a folder that this node does not have is left alone.

        Ray sets the number of OpenMP threads by the share of a worker, and sums depend on it: the driver decides.
        """
        with contextlib.suppress(OSError):
            os.chdir(self.folder)
        for name in [name for name in os.environ if name.startswith(("OMP_", "MKL_"))]:
            del os.environ[name]
        os.environ.update(self.environment)


class WorkerActor:
    """Keeps one worker process. Ray calls its methods in threads, `stay` and `stop` beside the others.

    The worker is a process of its own, so that its end is seen exactly (by which signal, with which exit code) and it
    is replaced without giving the share of the node back.

    Args:
        setup: What workers need.
    """

    def __init__(self, setup: ActorSetup) -> None:
        setup.enter()
        threading.Thread(target=_die_with_node, args=(os.getppid(),), daemon=True).start()
        self._make_worker = functools.partial(_made, setup.make_worker)
        self._limits = Limits(setup.timeout, setup.memory)
        self._member: Member | None = None
        self._stopped = threading.Event()

    def stay(self) -> None:
        """Never returns: the driver hears of the actor's end by the failure of this call."""
        threading.Event().wait()

    def where(self) -> tuple[str, tuple[str, str]]:
        """``("at", (id of its node, host and devices))``."""
        import ray

        context = ray.get_runtime_context()
        gpus = " ".join(f"cuda:{gpu}" for gpu in context.get_accelerator_ids().get("GPU", []))
        return ("at", (context.get_node_id(), place(gpus or "cpu")))

    def start(self, name: str) -> tuple[str, Any]:
        """Makes a worker in a new process.

        Returns:
            ``("ready", None)``, ``("bad input", problems)``, ``("broken", text)``, or ``("died", Death)``.
        """
        if self._member is not None:
            self._member.end(0.0)
        self._member = None
        self._stopped.clear()
        # A process that is spawned runs its parent's main program again, and this one's is Ray's.
        vars(sys.modules["__main__"]).pop("__file__", None)
        try:
            self._member = Member(name, self._make_worker)
            said = self._heard(self._member)
            if said[0] == "ready" and self._limits.too_large(self._member):
                raise InputError(self._limits.no_room(self._member))
            return said
        except InputError as error:
            return ("bad input", error.problems)
        except ExecutorError as error:
            return ("broken", str(error))

    def work(self, job: Job) -> tuple[str, Any]:
        """Runs a job.

        Returns:
            ``("done", outcome)``, ``("died", Death)``, or what says nothing about the job: ``("gone", None)`` where
            the worker had died before, ``("grown", None)`` where it had kept too much memory. In all cases but the
            first a worker has to be started again.
        """
        member = self._member
        if member is None or not member.process.is_alive():
            return ("gone", None)
        if self._limits.too_large(member):
            return ("grown", None)
        member.occupation.took(job.id)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died just now
            member.pipe.send(job)
        kind, said = self._heard(member)
        member.occupation.left(ended=True)
        return ("died", Death(f"computes no more: {said}")) if kind == "unusable" else (kind, said)

    def stop(self) -> None:
        """Kills the worker process and waits until it is gone."""
        self._stopped.set()
        if (member := self._member) is not None:
            with contextlib.suppress(ValueError):  # it is buried just now
                member.process.kill()
                member.process.join()

    def _heard(self, member: Member) -> tuple[str, Any]:
        """The member's next message, or its death; it is ended when it passes a limit."""
        death = None
        while death is None and not wait([member.pipe, member.process.sentinel], self._limits.patience([member])):
            death = self._limits.passed(member)
        message = member.message() if death is None else None
        if message is not None:
            return message
        self._member = None
        death = death or (Death("was stopped") if self._stopped.is_set() else member.death())
        member.end(0.0)
        return ("died", death)


def _die_with_node(parent: int) -> None:
    """Ends this process, and so its worker, when Ray's process of the node is gone: Ray waits for calls to return."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _made(make_worker: bytes) -> Worker:
    """Opens the parcel of a factory and calls it."""
    return opened(make_worker)()
