"""Sizes and times in the units that people would choose."""

from __future__ import annotations


def span(seconds: float) -> str:
    """Seconds in the unit that people would choose."""
    if seconds < 120.0:
        return f"{seconds:.2g} s" if seconds < 99.5 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200.0 else f"{seconds / 3600:.1f} h"


def amount(count: float) -> str:
    """Bytes with three digits."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:  # which three digits would round to a thousand
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
