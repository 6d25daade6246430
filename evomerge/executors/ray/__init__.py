"""Jobs on the nodes of a Ray cluster: an existing one by its address, or one of this machine for the run alone.

An executor only: Ray places actors and tells of nodes that went; search, store and resume stay ours, and no tensor goes
through Ray. Each actor has a share of a node (CPUs, GPUs, memory) and keeps a worker process there, as the executor
``processes`` does here. Every node needs evomerge with the same libraries, and the models under the same paths: nodes
without them are left out with a warning. A node reads weights once, since its workers map the same files. What methods
prepare lies in the run's folder; a worker on a node that does not see it keeps that in its own memory. Relative paths
start from the driver's current folder, on every node.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

from evomerge.executors._shared.attempts import RETRIES
from evomerge.executors._shared.protocol import Executor, MakeWorker
from evomerge.executors._shared.spec import ExecutorSpec
from evomerge.options import Option

__all__ = ["EXECUTOR"]


def make(make_worker: MakeWorker, options: Mapping[str, Any]) -> Executor:
    """Makes the executor; it connects when the first job comes."""
    from evomerge.executors.ray.crew import RaySettings
    from evomerge.executors.ray.executor import RayExecutor
    from evomerge.executors.ray.share import Share

    address = options["address"]
    # On a machine of one's own nobody else is to be kept out by a share of its memory.
    share = Share(options["cpus"], _gpus(options), None if address is None else options["memory"])
    given = {name: options[name] for name in ("workers", "retries", "timeout", "memory", "patience")}
    return RayExecutor(make_worker, RaySettings(share, address, **given))


def check(options: Mapping[str, Any]) -> list[str]:
    """Shares that Ray cannot give, and devices that are Ray's to choose; ``auto`` may yet turn out to be a GPU."""
    found = []
    cpus, gpus, device = options["cpus"], _gpus(options), options["device"]
    open_yet = device == "auto" and options["gpus"] is None
    if gpus > 1 and gpus != int(gpus):
        found.append(f"option gpus is {gpus}; expected a whole number, or a part of one below 1")
    if cpus == gpus == 0 and not open_yet:
        found.append("options cpus and gpus are both 0; a worker needs a share of something")
    if device.startswith("cuda:"):
        found.append(f"model.device is {device}; Ray chooses the GPU of each worker: write model.device=cuda")
    elif device == "cuda" and gpus == 0:
        found.append(
            "option gpus is 0, and models run on a GPU: give each worker a part of one, or set model.device=cpu"
        )
    return found


def count(options: Mapping[str, Any]) -> int:
    """Workers that share a machine like this one."""
    if options["workers"] is not None and options["address"] is None:
        return int(options["workers"])
    return max(1, len(os.sched_getaffinity(0)) // max(1, math.ceil(options["cpus"])))


def _gpus(options: Mapping[str, Any]) -> float:
    wanted = options["gpus"]
    return float(wanted) if wanted is not None else 1.0 if options["device"].startswith("cuda") else 0.0


EXECUTOR = ExecutorSpec(
    name="ray",
    title="on the nodes of a Ray cluster, or on one of this machine that is started for the run",
    make=make,
    library="ray",
    options={
        "workers": Option(None, None, int, "number of workers; null: as many as the cluster has room for", low=1),
        "retries": Option(RETRIES, None, int, "how often a job that was lost with its node is tried again", low=0),
        "timeout": Option(None, None, float, "seconds after which a job has failed", low=0),
        "memory": Option(None, None, int, "most bytes of a worker's own memory, set aside for it on its node", low=1),
        "device": Option("cpu", None, str, "where models run"),
        "address": Option(
            None,
            None,
            str,
            "the cluster, as ray.init takes it: HOST:PORT, auto, ...; null: one on this machine for the run",
        ),
        "cpus": Option(1.0, None, float, "CPUs set aside for each worker; as many as model.threads", low=0),
        "gpus": Option(
            None, None, float, "GPUs of each worker, such as 0.5; null: 1 where models run on a GPU, else none", low=0
        ),
        "patience": Option(600.0, None, float, "seconds without a single worker after which the run ends", low=1),
    },
    check=check,
    count=count,
)
