"""The files that batch systems are given: an array job for SLURM, an indexed Job for Kubernetes."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from evomerge.run.cluster.settings import SubmitSettings

__all__ = ["Job", "kubernetes_job", "slurm_job"]

LEAVES = 75  # exit code of a worker that was told to leave: it is to be started again
_WARNING = 120  # seconds between the signal and the end of a task or a pod
_BAD_INPUT = 2


@dataclass(frozen=True)
class Job:
    """A submission, as both files tell of it.

    Attributes:
        folder: The run's folder, absolute.
        directory: The working folder of the submission.
        python: The program that runs Python on this machine's file systems.
        gpus: GPUs of each worker.
        mount: The folder that pods need to see.
        settings: All else.
    """

    folder: Path
    directory: Path
    python: str
    gpus: int
    mount: str
    settings: SubmitSettings

    @property
    def name(self) -> str:
        """A name that both systems accept."""
        plain = re.sub(r"[^a-z0-9]+", "-", self.folder.name.lower()).strip("-")
        return f"evomerge-{plain}"[:50].strip("-")

    @property
    def words(self) -> list[str]:
        """The words of a worker, after the program."""
        processes = self.settings.processes or (None if self.gpus else 1)
        return ["worker", f"run={self.folder}", *([f"workers={processes}"] if processes else [])]


def slurm_job(job: Job) -> str:
    """The script of an array job: each task is one worker, queued again when its time is up or its node is taken."""
    settings = job.settings
    log = f"{job.folder}".replace("%", "%%") + "/worker-%a.log"  # SLURM's patterns begin with %
    options = [
        f"--job-name={job.name}",
        f"--array=0-{settings.workers - 1}",
        "--ntasks=1",
        f"--cpus-per-task={settings.cpus}",
        f"--mem={max(1, settings.memory // 2**20)}M",
        *([f"--gres=gpu:{job.gpus}"] if job.gpus else []),
        f"--time={settings.time}",
        *([f"--partition={settings.partition}"] if settings.partition else []),
        *([f"--account={settings.account}"] if settings.account else []),
        f'--output="{log}"',
        "--open-mode=append",
        "--requeue",
        f"--signal=B:USR1@{_WARNING}",
    ]
    asked = "\n".join(f"#SBATCH {option}" for option in options)
    setup = f"{settings.setup}\n" if settings.setup else ""
    return f"""\
#!/bin/bash
# One search by many workers: each task of this array is a worker of the run in
#   {job.folder}
# Edit what is asked for as you like. Workers may be lost, and more may join at any time: send this file once more, or
# run the line with "worker" on any machine that sees the folder. The tasks end when the search is over.
{asked}

cd {shlex.quote(str(job.directory))} || exit 1
{setup}{shlex.quote(job.python)} -m evomerge {shlex.join(job.words)} &
worker=$!

# Before its time is up, or when its node is wanted for others, a task is told: its worker gives back what takes long.
trap 'kill -USR1 "$worker"; told=yes' USR1 TERM
while told=no; wait "$worker"; code=$?; [ "$told" = yes ] && [ "$code" -gt 128 ]; do :; done

# Exit code {LEAVES}: the worker left, the search goes on. In the queue again, the task goes on with it.
if [ "$code" -eq {LEAVES} ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$code"
"""


def kubernetes_job(job: Job) -> str:
    """The manifest of an indexed Job: each pod is a worker; one that is taken away is replaced, and not counted."""
    settings = job.settings
    libraries = " with a GPU build of PyTorch" if job.gpus else ""
    return f"""\
# One search by many workers: each pod of this Job is a worker of the run in
#   {job.folder}
# Edit what is asked for as you like. The image needs evomerge{libraries},
# the volume the run's folder, the models and the tasks, under their paths here. The pods end when the search is over.
apiVersion: batch/v1
kind: Job
metadata:
  name: {json.dumps(job.name)}
spec:
  completionMode: Indexed
  completions: {settings.workers}
  parallelism: {settings.workers}
  backoffLimitPerIndex: 5
  podReplacementPolicy: Failed
  podFailurePolicy:
    rules:
      - action: Ignore # the pod was preempted, evicted or drained
        onPodConditions:
          - type: DisruptionTarget
            status: "True"
      - action: Ignore # told to leave, the worker gave back what it was at
        onExitCodes:
          containerName: worker
          operator: In
          values: [{LEAVES}]
      - action: FailIndex # refused: its log says why, and it would be refused again
        onExitCodes:
          containerName: worker
          operator: In
          values: [{_BAD_INPUT}]
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: {_WARNING}
{_pod(job)}"""


def _pod(job: Job) -> str:
    """The containers and volumes of a pod."""
    settings = job.settings
    memory = f"{max(1, settings.memory // 2**20)}Mi"
    words = "\n".join(f"            - {json.dumps(word)}" for word in job.words)
    gpus = f"\n              nvidia.com/gpu: {job.gpus}" if job.gpus else ""
    source = (
        f"persistentVolumeClaim:\n            claimName: {json.dumps(settings.volume)}"
        if settings.volume
        else f"hostPath:\n            path: {json.dumps(job.mount)}\n            type: Directory"
    )
    return f"""\
      containers:
        - name: worker
          image: {json.dumps(settings.image)}
          workingDir: {json.dumps(str(job.directory))}
          command: ["evomerge"]
          args:
{words}
          resources:
            requests:
              cpu: {settings.cpus}
              memory: {memory}
            limits:
              memory: {memory}{gpus}
          volumeMounts:
            - name: run
              mountPath: {json.dumps(job.mount)}
      volumes:
        - name: run
          {source}
"""
