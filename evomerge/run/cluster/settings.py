"""Settings of workers, and of a submission: what a batch system is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from evomerge.run.configs.verbs import RUN_FOLDER
from evomerge.settings import setting

__all__ = ["SubmitSettings", "WorkerConfig"]

# Minutes, minutes:seconds, hours:minutes:seconds, days-hours, and so on.
_TIME = r"\d+(:\d\d?){0,2}|\d+-\d\d?(:\d\d?){0,2}|UNLIMITED|INFINITE"


@dataclass(frozen=True)
class WorkerConfig:
    """The configuration of ``worker``."""

    run: str = field(metadata=RUN_FOLDER)
    workers: int | None = field(
        default=None, metadata=setting("processes here, one per GPU; null: as `executor=processes` has them", low=1)
    )
    name: str | None = field(
        default=None,
        metadata=setting("its name in records; null: the pod's index, the array job's task, or the machine's"),
    )
    finish: float = field(
        default=20.0,
        metadata=setting(
            "seconds that candidates may take to end when it is told to leave; else they are given back", low=0
        ),
    )


@dataclass(frozen=True)
class SubmitSettings:
    """The share of each worker, and how many there are. Whoever wants more edits the files that are written.

    Attributes:
        workers: Tasks of the array job, or pods.
        processes: Processes of each worker; None for one per GPU.
        gpus: GPUs of each worker; None for one, or none where models run on the CPU.
        cpus: Cores of each worker.
        memory: Bytes of each worker.
        time: Longest time of a task, as SLURM writes it; a task that has used it up is queued again.
        partition: SLURM's partition; None for the default one.
        account: SLURM's account; None for the default one.
        setup: Shell words before each worker of an array job: ``module load cuda``.
        image: The container image of the pods.
        volume: The PersistentVolumeClaim that holds the run's folder; None for a folder of the nodes.
        mount: Where that volume is seen, in pods as on this machine; None for the folder above all that the run names.
    """

    workers: int = field(default=4, metadata=setting("tasks of the array job, or pods", low=1, high=100_000))
    processes: int | None = field(
        default=None, metadata=setting("processes of each worker; null: one per GPU, one without", low=1)
    )
    gpus: int | None = field(
        default=None, metadata=setting("GPUs of each worker; null: one, or none with model.device=cpu", low=0)
    )
    cpus: int = field(default=4, metadata=setting("cores of each worker", low=1))
    memory: int = field(default=32_000_000_000, metadata=setting("memory of each worker, such as 32GB", form="bytes"))
    time: str = field(
        default="24:00:00", metadata=setting("longest time of a task in SLURM's words; it is queued again then")
    )
    partition: str | None = field(default=None, metadata=setting("SLURM's partition"))
    account: str | None = field(default=None, metadata=setting("SLURM's account"))
    setup: str | None = field(
        default=None, metadata=setting("shell words before each worker of an array job, such as 'module load cuda'")
    )
    image: str = field(default="evomerge:latest", metadata=setting("container image of the pods, with evomerge in it"))
    volume: str | None = field(
        default=None, metadata=setting("PersistentVolumeClaim with the run's folder; null: a folder of the nodes")
    )
    mount: str | None = field(
        default=None, metadata=setting("where pods see it, as this machine does; null: above all that the run names")
    )

    def problems(self) -> list[str]:
        """Words that a line of a batch script cannot hold, or that SLURM does not know."""
        words = {name: getattr(self, name) for name in ("partition", "account", "mount")}
        found = [
            f"submit.{name}: expected one word{' or a folder' if name == 'mount' else ''}, came {word!r}"
            for name, word in words.items()
            if word is not None and (not word or not word.isprintable() or (name != "mount" and " " in word))
        ]
        if not re.fullmatch(_TIME, self.time):
            found.append(f"submit.time: expected SLURM's writing, such as 24:00:00 or 2-12, came {self.time!r}")
        return found
