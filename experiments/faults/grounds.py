"""Where searches are killed: an executor, what of it may be killed beside the driver, and what replaces it.

Another executor that is to be tried is a context manager and a line in `GROUNDS`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["GROUNDS", "Ground", "children", "processes", "ray_nodes"]

Victims = Mapping[str, Callable[[int], Sequence[int]]]
_STORE = 80 * 2**20  # the smallest that Ray takes
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ground:
    """Where a search runs.

    Attributes:
        executor: Name of the executor.
        options: Its options.
        victims: What may be killed, to what finds the processes whose end is its end, by the driver's number.
        replace: Called after anything of it was killed.
    """

    executor: str
    options: Mapping[str, Any]
    victims: Victims
    replace: Callable[[], object] = lambda: None


def children(pid: int) -> list[int]:
    """Worker processes of a driver that starts them itself, as ``processes`` does."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text(encoding="ascii").split()]
        except OSError:
            continue
    return [child for child in found if b"spawn_main" in _command(child)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextmanager
def processes() -> Iterator[Ground]:
    """Two worker processes, which the driver replaces itself."""
    yield Ground("processes", {"workers": 2}, {"worker": children})


@contextmanager
def ray_nodes() -> Iterator[Ground]:
    """A real Ray cluster on this machine, whose nodes have room for one worker each; the driver runs on a third."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(_ROOT)}
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": _STORE, "include_dashboard": False}
    # A node that is silent for 5 seconds rather than 15 is given up.
    cluster = Cluster(initialize_head=True, head_node_args={**head, "_system_config": {"health_check_period_ms": 1000}})

    def nodes(_: int = 0) -> list[int]:
        found = (
            node.all_processes["raylet"][0].process for node in cluster.worker_nodes if "raylet" in node.all_processes
        )
        return [process.pid for process in found if process.poll() is None]

    def replace() -> None:
        while len(nodes()) < 2:
            cluster.add_node(num_cpus=1, object_store_memory=_STORE)

    try:
        replace()
        yield Ground("ray", {"workers": 2, "address": cluster.address}, {"node": nodes}, replace)
    finally:
        cluster.shutdown()


GROUNDS: dict[str, Callable[[], AbstractContextManager[Ground]]] = {"processes": processes}
if importlib.util.find_spec("ray") is not None:
    GROUNDS["ray"] = ray_nodes
