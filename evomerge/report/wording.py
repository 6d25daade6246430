"""Numbers and sentences as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evomerge.analysis import Interval
from evomerge.evaluation import Objective
from evomerge.report.members import BEATS, TRUNCATED, WORSE, Member
from evomerge.report.results import Results, short_name

SPLIT_WORDS = {"search": "search", "selection": "selection", "test": "held-out"}
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


def score(value: float, percent: bool) -> str:
    """A score with its unit."""
    return number(value, percent) + (f"{NBSP}%" if percent and math.isfinite(value) else "")


def estimate(interval: Interval, percent: bool, signed: bool = False) -> str:
    """An estimate without its unit, as precise as its interval makes sensible."""
    return number(interval.mean, percent, signed, decimals(interval))


def bounds(interval: Interval, percent: bool, signed: bool = False) -> str:
    """An interval's ends in brackets; empty when it is not known."""
    if not (math.isfinite(interval.low) and math.isfinite(interval.high)):
        return ""
    ends = (number(end, percent, signed, decimals(interval)) for end in (interval.low, interval.high))
    return f"[{', '.join(ends)}]"


def whole(interval: Interval, percent: bool) -> str:
    """An estimate with its unit and interval."""
    return f"{estimate(interval, percent)}{f'{NBSP}%' if percent else ''} {bounds(interval, percent)}".strip()


def gap(interval: Interval, percent: bool) -> str:
    """A difference with its unit and interval."""
    unit = f"{NBSP}points" if percent else ""
    return f"{estimate(interval, percent, signed=True)}{unit} {bounds(interval, percent, signed=True)}".strip()


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


def headline(results: Results, members: Sequence[Member]) -> str:
    """The one sentence to take away: the number of members that beat the best expert on held-out items."""
    tested = [member for member in members if member.test_scores]
    scored = sum(1 for e in results.candidates if results.scored(e))
    if not results.candidates:
        return "No candidate has been scored yet."
    if not scored:
        return f"No candidate could be scored: all {len(results.candidates)} failed."
    if not members:
        return f"None of {count(scored, 'scored candidate')} meets the constraints, so the front is empty."
    if not tested:
        holds_out = any((results.store.manifest.get("items") or {}).get("test", {}).values())
        why = "none has been scored on held-out items yet" if holds_out else "no items are held out in this run"
        return f"The front has {count(len(members), 'member')}; {why}."
    labels = [objective.label for objective in results.objectives]
    if not any(results.best_expert(label, "test") for label in labels):
        return f"{count(len(tested), 'member')} scored on held-out items, but no expert to compare with."
    judged = [label for label in labels if any(_judged(member, label) for member in tested)]
    if not judged:
        return (
            f"{count(len(tested), 'member')} scored on held-out items, but in no objective can the items judge them "
            "against the best expert."
        )
    if len(judged) == len(labels):
        return _verdict(tested, len(labels), "objective")
    left = ", ".join(shortened(label) for label in labels if label not in judged)
    shown = ", ".join(shortened(label) for label in judged)
    return f"{_verdict(tested, len(judged), 'compared objective')} Compared: {shown}; cannot be compared: {left}."


def _judged(member: Member, label: str) -> bool:
    found = member.versus_expert.get(label)
    return found is not None and found.p is not None and found.mark != TRUNCATED


def _verdict(tested: Sequence[Member], objectives: int, one: str) -> str:
    """Verdict of the marks; ``one`` is the word for an objective."""
    several = objectives > 1
    winners = [m for m in tested if any(m.beats_best_expert.values())]
    if len(tested) == 1:
        return _verdict_of_one(tested[0], objectives, one)
    if not winners:
        none = f"None of {count(len(tested), 'merged model')} beats the best expert on held-out items"
        return f"{none}{f' in any {one}' if several else ''}."
    total = "All" if len(winners) == len(tested) else f"{len(winners)} of"
    first = f"{total} {len(tested)} merged models beat{'s' if len(winners) == 1 else ''} the best expert"
    if not several:
        return f"{first} on held-out items."
    everywhere = sum(list(m.beats_best_expert.values()).count(True) == objectives for m in winners)
    if everywhere == len(winners):
        return f"{first} of every {one} on held-out items."
    clean = sum(all(c.mark != WORSE for c in m.versus_expert.values()) for m in winners)
    return (
        f"{first} of at least one {one} on held-out items: {everywhere or 'none'} in every {one}, "
        f"{clean or 'none'} without being worse in any other."
    )


def _verdict_of_one(member: Member, objectives: int, one: str) -> str:
    several = objectives > 1
    marks = [comparison.mark for comparison in member.versus_expert.values()]
    wins, losses = marks.count(BEATS), marks.count(WORSE)
    if not wins:
        where = f" in any {one}" if several else ""
        return f"The one merged model does not beat the best expert on held-out items{where}."
    first = "The one merged model beats the best expert on held-out items"
    if not several:
        return f"{first}."
    where = f"in every {one}" if wins == objectives else f"in {wins} of {objectives} {one}s"
    return f"{first} {where}{f', and is worse in {losses}' if losses else ''}."


def objective_sentence(results: Results, members: Sequence[Member], objective: Objective) -> str:
    """Findings on held-out items for one objective.

    The member that is quoted is the one with the best *search* score: picking the largest held-out difference would
    make that number optimistic again.
    """
    label, percent = objective.label, results.percent(objective)
    tested = [m for m in members if label in m.versus_expert]
    if not tested:
        return ""
    sign = -1.0 if objective.higher_is_better else 1.0
    quoted = min(tested, key=lambda m: sign * m.search_scores[label].mean)
    comparison = quoted.versus_expert[label]
    expert = results.baseline_scorecard(comparison.against, "test")
    wins = sum(m.versus_expert[label].mark == BEATS for m in tested)
    losses = sum(m.versus_expert[label].mark == WORSE for m in tested)
    reached = score(expert.values[label], percent) if expert else "–"
    test = quoted.test_scores[label]
    return (
        f"{wins} of {len(tested)} {'beats' if wins == 1 else 'beat'} the best expert, "
        f"{shortened(short_name(comparison.against))} ({reached}), {losses} "
        f"{'is' if losses == 1 else 'are'} worse. The member with the best search score, {quoted.id}, reaches "
        f"{whole(test, percent)} on held-out items, a difference of "
        f"{gap(comparison.interval, percent)}."
    )
