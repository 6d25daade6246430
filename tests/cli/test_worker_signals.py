"""What tells a worker to leave, and to leave now."""

from __future__ import annotations

import signal
import time

import pytest

from evomerge.cli.verbs import worker


def test_one_cause_may_signal_twice() -> None:
    """SLURM tells all processes of a job, and the job's script tells its worker of it once more."""
    told = worker.Told()
    with told.listening():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGUSR1)
        assert told.is_set()
        assert told.by == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
def test_a_second_signal_later_means_now() -> None:
    told = worker.Told()
    with told.listening():
        signal.raise_signal(signal.SIGTERM)
        time.sleep(worker.SAME + 0.1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
