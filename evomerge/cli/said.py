"""Lines about progress, on the stream that is not the result."""

from __future__ import annotations

import sys

from evomerge.texts import printable


def say(text: str) -> None:
    """Prints a line at once."""
    print(printable(text), file=sys.stderr, flush=True)
