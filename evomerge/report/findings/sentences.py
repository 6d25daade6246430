"""Findings in sentences: the chosen model beside every best expert, and each objective by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from evomerge.evaluation import Objective
from evomerge.report.findings.comparison import Comparison
from evomerge.report.findings.headline import margin_words
from evomerge.report.findings.holding import FAILS, HOLDS
from evomerge.report.members import BEATS, WORSE, Member, choice
from evomerge.report.results import Results, short_name
from evomerge.report.wording import SPLIT_WORDS, count, drop, gap, score, shortened, whole

_MOST_ITEMS = 1_000_000


def chosen_sentences(results: Results, members: Sequence[Member]) -> list[str]:
    """The chosen member beside every objective's best expert: what it holds, and how many items would settle it.

    Returns:
        A sentence for each objective, those on what is held, and one for each reference that costs no search.
    """
    member = next((member for member in members if member.knee), None)
    if member is None or not member.holding.tests:
        return []
    parts = [f"{_beside(results, member, objective)}." for objective in _compared(results, member)]
    return [*parts, *_held(results, member), *_without_search(results, member)]


def _compared(results: Results, member: Member) -> list[Objective]:
    return [objective for objective in results.objectives if objective.label in member.versus_expert]


def _beside(results: Results, member: Member, objective: Objective) -> str:
    """``t.acc 38.8 % beside 42.9 % of expert_a``, with the difference."""
    label, unit = objective.label, results.unit(objective)
    comparison = member.versus_expert[label]
    expert = results.baseline_scorecard(comparison.against, "test")
    reached = score(expert.values[label], unit) if expert else "–"
    ours = score(member.test_scores[label].mean, unit)
    who = shortened(short_name(comparison.against))
    return f"{shortened(label)}: {ours} beside {reached} of {who}, a difference of {gap(comparison.interval, unit)}"


def _held(results: Results, member: Member) -> list[str]:
    """The objectives that it holds, or what would settle it."""
    holding = member.holding
    what = {1: "the best expert's score", 2: "both at once"}.get(len(results.objectives), "all of them at once")
    if holding.verdict == HOLDS:
        return [f"It holds {what}, to within {margin_words(results)}."]
    if holding.verdict == FAILS:
        return [f"It does not hold {what}, to within {margin_words(results)}."]
    if not holding.verdict:
        return []
    items = _asked(results, member)
    if holding.level:
        first = f"As observed it holds {what}, to within {margin_words(results)}, but {items} do not prove it"
    else:
        below = f"further below in {', '.join(shortened(label) for label in holding.below)}"
        first = f"{items} do not settle whether it holds {what}, to within {margin_words(results)}: as observed {below}"
    return [f"{first}. {_needed(holding.needed, len(results.objectives))}"]


def _asked(results: Results, member: Member) -> str:
    """The numbers of held-out items behind the objectives that were tested: ``49 to 76 items``."""
    card = results.scorecard(member.test)
    strata = card.strata if card is not None else {}
    numbers = [sum(len(stratum.items) for stratum in strata[label]) for label in member.holding.tests]
    most = count(max(numbers), "item")
    return most if min(numbers) == max(numbers) else f"{min(numbers)} to {most}"


def _needed(items: float, objectives: int) -> str:
    if not math.isfinite(items) or items > _MOST_ITEMS:
        return "More items would hardly settle it: the difference is too near to the margin."
    rounded = int(float(f"{items:.2g}"))
    each = " of each objective" if objectives > 1 else ""
    left = "differences stay as they are" if objectives > 1 else "difference stays as it is"
    return f"About {count(rounded, 'item')}{each} would settle it, if the {left}."


def _without_search(results: Results, member: Member) -> list[str]:
    """Differences to what costs no search: the uniform average, and the tuned reference."""
    found = []
    references: list[tuple[str, Mapping[str, Comparison]]] = [("the uniform average", member.versus_uniform)]
    if results.tuned:
        references.append((short_name(results.tuned), member.versus_tuned))
    for name, comparisons in references:
        gaps = [
            f"{shortened(objective.label)} {gap(comparisons[objective.label].interval, results.unit(objective))}"
            for objective in _compared(results, member)
            if objective.label in comparisons
        ]
        if gaps:
            found.append(f"Against {name}: {', '.join(gaps)}.")
    return found


def objective_sentence(results: Results, members: Sequence[Member], objective: Objective) -> str:
    """Findings on held-out items for one objective.

    The member that is quoted is the one with the best score of those by which one is chosen, see `choice`: picking the
    largest held-out difference would make that number optimistic again.
    """
    label, unit = objective.label, results.unit(objective)
    tested = [m for m in members if label in m.versus_expert]
    if not tested:
        return ""
    sign = -1.0 if objective.higher_is_better else 1.0
    pool, split = choice(tested)
    quoted = min(pool, key=lambda m: sign * m.scores(split)[label].mean)
    comparison = quoted.versus_expert[label]
    expert = results.baseline_scorecard(comparison.against, "test")
    wins = sum(m.versus_expert[label].mark == BEATS for m in tested)
    losses = sum(m.versus_expert[label].mark == WORSE for m in tested)
    reached = score(expert.values[label], unit) if expert else "–"
    lost = sign * (quoted.test_scores[label].mean - quoted.search_scores[label].mean)
    said = "better" if lost > 0 else "worse"
    flattered = f"; its search score was {drop(abs(lost), unit, signed=False)} {said}" if abs(lost) > 0.0 else ""
    return (
        f"{wins} of {len(tested)} {'beats' if wins == 1 else 'beat'} the best expert, "
        f"{shortened(short_name(comparison.against))} ({reached}), {losses} "
        f"{'is' if losses == 1 else 'are'} worse. The member with the best {SPLIT_WORDS[split]} score, {quoted.id}, "
        f"reaches {whole(quoted.test_scores[label], unit)} on held-out items, a difference of "
        f"{gap(comparison.interval, unit)}{flattered}."
    )
