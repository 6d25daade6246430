"""The program that a worker starts to drive a run: a search with the configuration that lies in the run's folder.

``python -m evomerge.cli.driver RUN``; it leaves the run, in order, when its standard input ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

from evomerge.cli.interrupts import orderly_end
from evomerge.cli.main import BAD_INPUT, FAILED, INTERRUPTED, say_problems, sentence
from evomerge.errors import InputError
from evomerge.imports import imported
from evomerge.lease import LeaseHeld
from evomerge.run import environment
from evomerge.run.attach import config_of, device_of, directory_of
from evomerge.run.cluster import sharing
from evomerge.run.cluster.driver import DRIVEN
from evomerge.run.run_config import RunConfig

__all__ = ["main"]

_GRACE = 15.0  # seconds that leaving may take


def main(folder: Path) -> int:
    """Drives a run to its end, or until nobody listens any more.

    Returns:
        The exit code: that of a search, or `DRIVEN` if another driver is at work.
    """
    threading.Thread(target=_leave_with_parent, name="parent", daemon=True).start()
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # the worker's to understand
    try:
        with orderly_end():
            config = _configured(folder.absolute())
            environment.prepare(offline=bool(config.offline))
            with imported():
                from evomerge.cli.verbs import search  # libraries read the environment once, on import

            return search.run(config)
    except LeaseHeld:
        return DRIVEN
    except InputError as error:
        say_problems(error)
        with contextlib.suppress(OSError):
            sharing.refuse(folder.absolute(), error.problems)
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        print(f"evomerge: the driver of {folder}: {sentence(error)}", file=sys.stderr, flush=True)
        return FAILED


def _configured(folder: Path) -> RunConfig:
    """The run's configuration, for workers that share its folder."""
    if (directory := directory_of(folder)) is not None:
        os.chdir(directory)
    config = config_of(folder)
    executor = config.executor
    if executor.name != "folder":  # begun on one machine
        executor = replace(executor, name="folder", workers=None, options={})
    model = config.model
    if model.device == "auto" and not model.device_map:  # what this machine has is no reason for another run
        model = replace(model, device=device_of(folder) or model.device)
    return replace(config, run_dir=str(folder), executor=executor, progress="lines", model=model)


def _leave_with_parent() -> None:
    while os.read(0, 1):  # not through sys.stdin, whose lock a process that ends could not get
        pass
    for _ in range(2):  # the first lets a search end its batch, the second ends it now
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(0.2)
    threading.Event().wait(_GRACE)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
