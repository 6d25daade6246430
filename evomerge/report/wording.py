"""Numbers as people read them."""

from __future__ import annotations

import math

from evomerge.analysis import Interval

SPLIT_WORDS = {"search": "search", "selection": "selection", "test": "held-out"}
PERCENT = "%"  # the unit of shares; most scores have none
NBSP, MINUS = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"


def number(value: float, percent: bool = False, signed: bool = False, decimals: int | None = None) -> str:
    """A score: one decimal of a per cent, or four significant digits, with a true minus sign.

    Args:
        value: The score.
        percent: Whether it is shown as per cent.
        signed: Whether a positive value gets its sign.
        decimals: Decimals of a score that is not shown as per cent.
    """
    if not math.isfinite(value):
        return "–"
    shown = f"{100.0 * value:.1f}" if percent else f"{value:.4g}" if decimals is None else f"{value:.{decimals}f}"
    if float(shown) == 0.0:
        shown = shown.lstrip("-")
    if signed and float(shown) > 0.0:
        shown = "+" + shown
    return shown.replace("-", MINUS)


def decimals(interval: Interval) -> int | None:
    """Decimals that show two digits of an interval's half-width; None where it is unknown."""
    half = (interval.high - interval.low) / 2.0
    return min(6, max(0, 1 - math.floor(math.log10(half)))) if 0.0 < half < math.inf else None


def score(value: float, unit: str) -> str:
    """A score with its unit."""
    return number(value, unit == PERCENT) + (_after(unit) if math.isfinite(value) else "")


def estimate(interval: Interval, unit: str, signed: bool = False) -> str:
    """An estimate without its unit, as precise as its interval makes sensible."""
    return number(interval.mean, unit == PERCENT, signed, decimals(interval))


def bounds(interval: Interval, unit: str, signed: bool = False) -> str:
    """An interval's ends in brackets; empty when it is not known."""
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return ""
    ends = (number(end, unit == PERCENT, signed, decimals(interval)) for end in (interval.low, interval.high))
    return f"[{', '.join(ends)}]"


def whole(interval: Interval, unit: str) -> str:
    """An estimate with its unit and interval."""
    return f"{estimate(interval, unit)}{_after(unit)} {bounds(interval, unit)}".strip()


def gap(interval: Interval, unit: str) -> str:
    """A difference with its unit and interval."""
    shown = f"{estimate(interval, unit, signed=True)}{_after(unit_of_gaps(unit))}"
    return f"{shown} {bounds(interval, unit, signed=True)}".strip()


def drop(value: float, unit: str, signed: bool = True) -> str:
    """A difference without an interval, with its unit."""
    return number(value, unit == PERCENT, signed) + _after(unit_of_gaps(unit))


def unit_of_gaps(unit: str) -> str:
    """The unit of differences between scores with a unit."""
    return "points" if unit == PERCENT else unit


def _after(unit: str) -> str:
    return f"{NBSP}{unit}" if unit else ""


def shortened(name: str, length: int = 40) -> str:
    """A name with its middle left out where it is too long for a sentence."""
    return name if len(name) <= length else name[: length // 2] + "…" + name[-(length - length // 2 - 1) :]


def count(n: int, noun: str) -> str:
    """A number with its noun, in the plural where it belongs."""
    return f"{n:,}{NBSP}{noun}{'' if n == 1 else 's'}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 60:
        return f"{seconds:.2f}{NBSP}s" if seconds < 10 else f"{seconds:.0f}{NBSP}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{NBSP}h {minutes:02d}{NBSP}min" if hours else f"{minutes}{NBSP}min {rest:02d}{NBSP}s"
