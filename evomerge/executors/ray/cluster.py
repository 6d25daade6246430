"""The connection to a Ray cluster: an existing one, or one on this machine that is started for the run."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import secrets
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from evomerge.errors import InputError
from evomerge.executors._shared.protocol import ExecutorError
from evomerge.executors.ray.share import Share
from evomerge.executors.ray.worker_actor import ActorSetup, WorkerActor

__all__ = ["Cluster", "Fault", "Gone"]

# Jobs and answers alone go through the object store; weights never do.
_STORE = 128 * 2**20
_PATIENCE = 10.0  # seconds for ends that living actors come to at once
_VARIABLES = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_SCHEDULER_EVENTS": "0"}
# With this one Ray takes the loopback for its address, rather than look which way leads to a server of Google's.
_LOCAL = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# A cluster of this machine lets nobody else in: users who have no token of Ray's get one that is forgotten with this
# process, which has only one, as Ray reads it once.
_TOKEN = secrets.token_hex(32)


Fault = Literal["node", "reach", "own", "make", "unknown"]


class Gone(Exception):
    """An actor has ended, or never began.

    Attributes:
        how: In words that follow "its worker".
        fault: ``node``: its node went; ``reach``: it did not answer; ``own``: it alone ended; ``make``: it cannot be
            made; ``unknown``: its node has to be asked.
        kind: Kind of the failure, where it becomes one.
    """

    def __init__(self, how: str, fault: Fault, kind: str = "error") -> None:
        super().__init__(how)
        self.how = how
        self.fault = fault
        self.kind = kind


class Cluster:
    """A connection. One that this process already had is used, and left as it is.

    Args:
        address: As ``ray.init`` takes it; None starts a cluster on this machine.
        share: What each worker gets.
        workers: Number of workers that a cluster of this machine has to have room for; None for what its cores give.

    Raises:
        InputError: If there is no such cluster.
    """

    def __init__(self, address: str | None, share: Share, workers: int | None) -> None:
        self._share = share
        self._undo = contextlib.ExitStack()
        self._undo.enter_context(_environment(_VARIABLES | (_LOCAL | _token() if address is None else {})))
        import ray  # after its variables are set, as it reads some of them once

        self._ray: Any = ray
        if not ray.is_initialized():
            try:
                with _terminable():
                    self._connect(address, workers)
            except BaseException:
                self.close()
                raise
        self._actor: Any = ray.remote(WorkerActor)
        self._probe: Any = ray.remote(_answer)

    def _connect(self, address: str | None, workers: int | None) -> None:
        ray = self._ray
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        self._undo.enter_context(_silence(ray))
        if address is not None:
            self._undo.callback(ray.shutdown)
            try:
                ray.init(address=address, **quiet)
            except (ConnectionError, RuntimeError, ValueError, OSError, ImportError) as error:
                text = " ".join(str(error).split())
                raise InputError(
                    f"executor ray: no connection to a cluster at {address!r} ({type(error).__name__}: {text}); "
                    "`ray start --head` starts one, `ray start --address=HOST:6379` joins this machine to it, and "
                    "without executor.options.address one is started here for the run"
                ) from error
            return
        folder = self._undo.enter_context(_temporary_folder())
        self._undo.callback(ray.shutdown)
        cores = len(os.sched_getaffinity(0))
        try:
            ray.init(
                address="local",
                num_cpus=max(cores, math.ceil((workers or 0) * self._share.cpus)),
                object_store_memory=_STORE,
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                _temp_dir=str(folder),
                **quiet,
            )
        except Exception as error:
            raise ExecutorError(f"a Ray cluster could not be started here: {type(error).__name__}: {error}") from error

    def room(self) -> int:
        """How many workers the nodes that are there now have room for when nothing else runs on them."""
        return self._share.fits(node["Resources"] for node in self._ray.nodes() if node["Alive"])

    def actor(self, setup: ActorSetup) -> Any:
        """Asks for an actor; it begins when a node has room."""
        options = self._share.options | {"max_restarts": 0, "max_task_retries": 0, "max_concurrency": 4}
        return self._actor.options(scheduling_strategy="SPREAD", **options).remote(setup)

    def probe(self, node: str) -> Any:
        """Asks a node whether it is alive: the call ends when it answers, or when the cluster has given it up."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        strategy = NodeAffinitySchedulingStrategy(node, soft=False)
        return self._probe.options(num_cpus=0, max_retries=0, scheduling_strategy=strategy).remote()

    def ended(self, calls: Sequence[Any], seconds: float) -> list[Any]:
        """Those calls that have ended, waiting for the first one at most so many seconds."""
        if not calls:
            time.sleep(seconds)
            return []
        ready, rest = self._ray.wait(list(calls), num_returns=1, timeout=seconds)
        if rest:
            ready += self._ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        return list(ready)

    def settle(self, calls: Sequence[Any]) -> None:
        """Waits until all calls have ended, for as long as living actors need."""
        if calls:
            self._ray.wait(list(calls), num_returns=len(calls), timeout=_PATIENCE)

    def answer(self, call: Any, seconds: float | None = None) -> Any:
        """The answer of a call.

        Raises:
            Gone: If its actor has ended, or does not answer in so many seconds.
            ExecutorError: If the cluster is no longer there.
        """
        exceptions = self._ray.exceptions
        try:
            return self._ray.get(call, timeout=seconds)
        except exceptions.OutOfMemoryError as error:
            raise Gone(f"was killed by Ray, as memory was short: {_said(error)}", "own", "oom") from None
        except exceptions.ActorDiedError as error:
            made = not getattr(error, "_actor_init_failed", False)
            went = error.preempted or "its node has died" in str(error)
            raise Gone(_said(error), "node" if went else "unknown" if made else "make") from None
        except (exceptions.TaskUnschedulableError, exceptions.NodeDiedError, exceptions.WorkerCrashedError) as error:
            raise Gone(_said(error), "node") from None
        except (exceptions.ActorUnavailableError, exceptions.GetTimeoutError) as error:
            raise Gone(f"was out of reach: {_said(error)}", "reach") from None
        except (exceptions.RuntimeEnvSetupError, exceptions.ActorUnschedulableError, exceptions.RayTaskError) as error:
            raise Gone(_said(error), "make") from None
        except exceptions.RayError as error:
            raise ExecutorError(f"the Ray cluster failed: {type(error).__name__}: {_said(error)}") from error

    def kill(self, actor: Any) -> None:
        """Ends an actor, and with it its worker."""
        with contextlib.suppress(Exception):  # it has ended already
            self._ray.kill(actor)

    def close(self) -> None:
        """Leaves the cluster; one that was started for the run is ended."""
        self._undo.close()


def _answer() -> tuple[str, None]:
    return ("alive", None)


def _said(error: Exception) -> str:
    """The sentence about the end in the text of one of Ray's exceptions, which has tables and traces around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("\t")]
    told = [line for line in lines if line.startswith(("The actor is dead", "The actor died because its"))]
    return (told[0] if told else lines[-1] if lines else type(error).__name__)[:300]


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Keeps what SIGTERM means here; Ray gives it a meaning of its own."""
    ours = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _silence(ray: Any) -> Iterator[None]:
    """Keeps Ray from printing what happens to nodes and actors: it is handled, and told by exceptions."""
    module = ray._private.worker
    before = getattr(module, "_worker_logs_enabled", True)
    module._worker_logs_enabled = False
    try:
        yield
    finally:
        module._worker_logs_enabled = before


def _token() -> dict[str, str]:
    """A token for users who have none; Ray would write one into their home."""
    has = "RAY_AUTH_TOKEN_PATH" in os.environ or (Path.home() / ".ray" / "auth_token").exists()
    return {} if has else {"RAY_AUTH_TOKEN": _TOKEN}


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    """Sets variables of Ray and of what it starts; what the user has set stays, what Ray sets goes in the end."""
    before = set(os.environ)
    for name, value in values.items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("RAY_") and name not in before]:
            del os.environ[name]


@contextlib.contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Where a local cluster keeps sockets and logs. Names of sockets have to be short."""
    parent = tempfile.gettempdir() if len(tempfile.gettempdir()) < 30 else "/tmp"
    folder = Path(tempfile.mkdtemp(prefix=f"evomerge-ray-{os.getpid()}-", dir=parent))
    try:
        yield folder
    finally:
        deadline = time.monotonic() + _PATIENCE
        while folder.exists() and time.monotonic() < deadline:  # the last of the cluster's processes may still write
            shutil.rmtree(folder, ignore_errors=True)
            time.sleep(0.05)
