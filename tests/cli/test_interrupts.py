"""Signals, sent to this very process."""

import os
import signal

import pytest

from evomerge.cli.interrupts import Interrupts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_once_finishes_and_twice_stops(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        assert (interrupts.stop(), interrupts.interrupted) == ("none", False)
        os.kill(os.getpid(), number)
        assert (interrupts.stop(), interrupts.interrupted) == ("finish", True)
        assert "finishing the batch" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
        assert interrupts.stop() == "now"
    assert signal.getsignal(number) == before
