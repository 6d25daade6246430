"""The headline: what the merge is for. Does a member beat a best expert, and does one hold what all of them reach?"""

from __future__ import annotations

from collections.abc import Sequence

from evomerge.report.findings.holding import FAILS, HOLDS, points
from evomerge.report.members import WORSE, Member
from evomerge.report.results import Results
from evomerge.report.wording import PERCENT, count, number, shortened


def headline(results: Results, members: Sequence[Member], preferred: bool = False) -> str:
    """The one sentence to take away, from held-out items alone; ``preferred``: the chosen one is not the knee."""
    tested = [member for member in members if member.test_scores]
    chosen = "the chosen one" if preferred or len(results.objectives) == 1 else "the knee"
    early = _before_held_out(results, members, tested)
    if early:
        return early
    labels = [objective.label for objective in results.objectives]
    judged = [label for label in labels if any(_judged(member, label) for member in tested)]
    if not judged:
        return (
            f"{count(len(tested), 'member')} scored on held-out items, but in no objective can the items judge them "
            "against the best expert."
        )
    if len(judged) == len(labels):
        return _verdict(tested, len(labels), "objective", margin_words(results), chosen)
    left = ", ".join(shortened(label) for label in labels if label not in judged)
    shown = ", ".join(shortened(label) for label in judged)
    verdict = _verdict(tested, len(judged), "compared objective", margin_words(results), chosen)
    return f"{verdict} Compared: {shown}; cannot be compared: {left}."


def margin_words(results: Results) -> str:
    """The run's margin in words: points, or per cent where an objective is no share of items."""
    value, shares = points(results), [results.unit(objective) == PERCENT for objective in results.objectives]
    unit = "points" if all(shares) else "per cent" if not any(shares) else "points or per cent"
    return f"{number(value)} {'point' if value == 1.0 and all(shares) else unit}"


def _before_held_out(results: Results, members: Sequence[Member], tested: Sequence[Member]) -> str:
    """The headline of a run that cannot compare members on held-out items; else empty."""
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
    if not any(results.best_expert(objective.label, "test") for objective in results.objectives):
        return f"{count(len(tested), 'member')} scored on held-out items, but no expert to compare with."
    return ""


def _judged(member: Member, label: str) -> bool:
    return label in member.versus_expert and member.versus_expert[label].judged


def _verdict(tested: Sequence[Member], objectives: int, one: str, margin: str, chosen: str) -> str:
    """The verdict on what members beat and hold; ``one`` and ``chosen`` are words for an objective and a member."""
    beats, everywhere = _beats(tested, objectives, one)
    holds = "" if everywhere else _holds(tested, objectives, one, margin, chosen)
    return f"{beats}{holds}."


def _beats(tested: Sequence[Member], objectives: int, one: str) -> tuple[str, bool]:
    """Who beats the best expert, and whether all that do so do it in every objective."""
    winners = [m for m in tested if any(m.beats_best_expert.values())]
    models = "The one merged model" if len(tested) == 1 else count(len(tested), "merged model")
    if not winners:
        of = f" of any {one}" if objectives > 1 else ""
        who = f"{models} is not" if len(tested) == 1 else f"None of {models} is"
        return f"{who} shown to beat the best expert{of} on held-out items", False
    total = "" if len(tested) == 1 else "All " if len(winners) == len(tested) else f"{len(winners)} of "
    first = f"{total}{models} beat{'s' if len(winners) == 1 else ''} the best expert"
    if objectives == 1:
        return f"{first} on held-out items", True
    wins = [list(member.beats_best_expert.values()).count(True) for member in winners]
    if min(wins) == objectives:
        return f"{first} of every {one} on held-out items", True
    if len(tested) == 1:
        losses = sum(c.mark == WORSE for c in winners[0].versus_expert.values())
        worse = f", and is worse in {losses}" if losses else ""
        return f"{models} beats the best expert on held-out items in {wins[0]} of {objectives} {one}s{worse}", False
    all_of_them = wins.count(objectives)
    return f"{first} of at least one {one} on held-out items, {all_of_them or 'none'} of every {one}", False


def _holds(tested: Sequence[Member], objectives: int, one: str, margin: str, chosen: str) -> str:
    """The objectives that are held, as a second half of the sentence; empty where an objective cannot be tested."""
    compared = [member for member in tested if member.holding.verdict]
    if not compared:
        return ""
    holders = [member for member in compared if member.holding.verdict == HOLDS]
    where = (
        "" if objectives == 1 else f" in {'both' if objectives == 2 else 'every'} {one}{'s' if objectives == 2 else ''}"
    )
    reach = f"within {margin} of {'it' if objectives == 1 else 'the best expert'}{where}"
    at_once = " at once" if objectives > 1 else ""
    if holders:
        who = "it" if len(tested) == 1 else "all" if len(holders) == len(tested) else str(len(holders))
        return f"; {who} stay{'s' if len(holders) == 1 else ''} {reach}{at_once}"
    lead = next((member for member in compared if member.knee), compared[0])
    who = "it" if len(tested) == 1 else chosen
    if lead.holding.verdict == FAILS:
        return f", and {who} does not stay {reach}"
    if lead.holding.level:
        return f", but {who} scores {reach}{at_once}, though the items are too few to prove it"
    return f"; whether {who} stays {reach}{at_once} is open"
