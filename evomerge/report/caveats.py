"""Caveats: warnings to read before the numbers, and the optimism of scores that were selected by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from evomerge.analysis import pareto, uneven_truncation
from evomerge.evaluation import Objective
from evomerge.evaluation.grammar import is_share
from evomerge.report.costs import MESSAGE
from evomerge.report.members import TRUNCATED, Comparison, Member
from evomerge.report.results import Results, short_name
from evomerge.report.scorecard import Scorecard, scorecard
from evomerge.report.wording import SPLIT_WORDS, count, number

FEW_ITEMS, FEW_CLUSTERS = 100, 30
_KINDS = {
    "oom": "ran out of memory",
    "nonfinite": "had values that are not finite",
    "timeout": "took too long",
    "invalid": "could not be built",
    "error": "met an error",
}


def optimism(results: Results, members: Sequence[Member]) -> dict[str, dict[str, tuple[float, float | None]]]:
    """Mean drop from scores that were selected by to held-out scores, in each objective's natural direction.

    Returns:
        Objective label to ``search`` and ``selection``, as far as there are such scores, to the drop of the confirmed
        members and that of the baselines, which nothing selected; None where no baseline has both scores.
    """
    found: dict[str, dict[str, tuple[float, float | None]]] = {}
    confirmed = [member for member in members if member.test_scores]
    for objective in results.objectives:
        label, sign = objective.label, 1.0 if objective.higher_is_better else -1.0
        for split in ("search", "selection"):
            drops = [
                sign * (m.scores(split)[label].mean - m.test_scores[label].mean) for m in confirmed if m.scores(split)
            ]
            others = [sign * drop for drop in _baseline_drops(results, label, split)]
            if drops:
                row = (float(np.mean(drops)), float(np.mean(others)) if others else None)
                found.setdefault(label, {})[split] = row
    return found


def _baseline_drops(results: Results, label: str, split: str) -> Iterator[float]:
    """Differences between the scores of each baseline on a split and on held-out items, each record once."""
    seen: set[str] = set()
    for name in results.fixed:
        record = results.baseline(name, split)
        if record is None or record.digest in seen:
            continue
        seen.add(record.digest)
        first, test = results.scorecard(record), results.baseline_scorecard(name, "test")
        if first is not None and test is not None:
            yield first.values[label] - test.values[label]


def _reasons(results: Results) -> str:
    """The kinds of failures with their numbers, the most frequent first, each with the first that was recorded."""
    by_kind: dict[str, list[str]] = {}
    for candidate in results.candidates:
        if candidate.error is not None:
            by_kind.setdefault(candidate.error.kind, []).append((candidate.error.message.splitlines() or [""])[0])
    ordered = sorted(by_kind.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    return "; ".join(f"{len(said)} {_KINDS[kind]} ({said[0][:MESSAGE]})" for kind, said in ordered)


def warnings(results: Results, members: Sequence[Member]) -> list[str]:
    """Warnings of the run itself, then those that its records give rise to."""
    found = [str(text) for text in results.store.manifest.get("warnings", ())]
    found += [
        f"The baseline {short_name(name)} failed on {SPLIT_WORDS[e.split]} items: "
        f"{e.error.message.splitlines()[0][:MESSAGE]}"
        for e in results.store.evaluations()
        if e.name is not None and e.error is not None and e.error.message
        for name in results.sharing(e)
    ]
    total, failed = len(results.candidates), sum(e.error is not None for e in results.candidates)
    if failed and failed >= 0.2 * total:
        found.append(f"{failed} of {count(total, 'candidate')} failed: {_reasons(results)}.")
    found += _unconfirmed(results, members)
    found += _few_items(results, members)
    found += [*idle_constraints(results), *_narrow(results)]
    if (results.store.manifest.get("config") or {}).get("start_from"):
        found.append("The search began with another run's front: the candidates scored there are not counted here.")
    return found + _truncated(results, members) + _marks_withheld(results, members)


def idle_constraints(results: Results) -> list[str]:
    """Constraints relative to a baseline that nobody can miss, as the baseline's share of right answers is so low."""
    found = []
    for constraint in results.constraints:
        named = {name: results.baseline(name, "search") for name in results.names}
        scored = {name: e.metrics for name, e in named.items() if e is not None and e.error is None}
        reference = constraint.reference(scored)
        if constraint.relative_to is None or reference is None or not is_share(constraint.metric):
            continue
        bound, above = reference + constraint.bound, constraint.sense == ">="
        if bound <= 0.0 if above else bound >= 1.0:
            absolute = f"constraints=['{constraint.metric} {constraint.sense} {0.9 if above else 0.1}']"
            found.append(
                f"The constraint {constraint.label} excludes nobody: {constraint.relative_to} scores "
                f"{number(reference)} on the search items, so that no candidate can lose more. Take a base that passes "
                f"this task, allow less, or write a bound that is not relative, such as {absolute}."
            )
    return found


def _narrow(results: Results) -> list[str]:
    """Constraints relative to a baseline that allow less than the standard error of the score they start from."""
    found = []
    for constraint in results.constraints:
        names = [name for name in results.names if constraint.refers_to(name)]
        records = [e for name in names if (e := results.baseline(name, "search")) is not None and not e.error]
        metric = (Objective(constraint.label, ((1.0, constraint.metric),), constraint.sense == ">="),)
        cards = [scorecard(e, results.responses(e), metric, results.clusters) for e in records[:1]]
        errors = [card.interval(constraint.label).se for card in cards if card is not None]
        if constraint.bound and errors and errors[0] > abs(constraint.bound):
            found.append(
                f"The constraint {constraint.label} allows less than the standard error of the score that it starts "
                f"from, {number(errors[0])}: on these search items chance has a part in who meets it."
            )
    return found


def _truncated(results: Results, members: Sequence[Member]) -> list[str]:
    """How often answers reached the length limit, and where models differ in that; on the items that all models share.

    Those are the held-out ones, and before any model was asked these the search items of the baselines.
    """
    cards = _cards(results, "test") | {m.id: card for m in members if (card := results.scorecard(m.test)) is not None}
    cards = cards or _cards(results, "search")
    cut = {name: card.truncated for name, card in cards.items() if card.truncated > 0.0}
    if not cut:
        return []
    worst = max(cut, key=lambda name: cut[name])
    told = (
        f"{count(len(cut), 'model')} of {len(cards)} reached the length limit in generated answers, most often "
        f"{worst} ({number(cut[worst], percent=True)} % of its answers): truncated answers are scored as they are."
    )
    return [" ".join([told, *(f"{text[0].upper()}{text[1:]}." for text in _uneven(cards))])]


def uneven_baselines(results: Results) -> list[str]:
    """Tasks on whose search items limits cut one baseline more often than another, by more than chance."""
    return _uneven(_cards(results, "search"))


def _cards(results: Results, split: str) -> dict[str, Scorecard]:
    """The scorecards of the baselines; those that share a record, as their weights are equal, count once."""
    found: dict[str, Scorecard] = {}
    seen: set[str] = set()
    for name in results.names:
        record, card = results.baseline(name, split), results.baseline_scorecard(name, split)
        if record is not None and card is not None and record.digest not in seen:
            seen.add(record.digest)
            found[short_name(name)] = card
    return found


def _uneven(cards: Mapping[str, Scorecard]) -> list[str]:
    return [
        f"limits cut {one.most} more often than {one.least} on {one.task}, by more than chance: "
        f"{number(one.shares[0], percent=True)} % against {number(one.shares[1], percent=True)} % of the answers to "
        "the same items, so their scores compare lengths too; set a larger limit with "
        "fitness.gen_kwargs={max_gen_toks: N}"
        for one in uneven_truncation({name: card.cuts for name, card in cards.items()})
    ]


def _marks_withheld(results: Results, members: Sequence[Member]) -> list[str]:
    """The objectives in which truncation keeps differences from being marks, and why."""
    found = []
    for objective in results.objectives:
        compared = {m.id: m.versus_expert[objective.label] for m in members if objective.label in m.versus_expert}
        withheld = {who: c for who, c in compared.items() if c.mark == TRUNCATED}
        if withheld:
            shares = "; ".join(f"{who}: {_shares(comparison)}" for who, comparison in withheld.items())
            found.append(
                f"{objective.label} has no mark for {count(len(withheld), 'member')} whose generated answers reached "
                f"the length limit more or less often than those of the best expert ({shares}). Truncated answers are "
                "scored as they are, so these differences may be of length instead of skill: a larger max_gen_toks "
                "would tell."
            )
    return found


def _shares(comparison: Comparison) -> str:
    cut = comparison.truncation
    assert cut is not None  # else there is a mark
    return f"{number(cut.first, percent=True)} % of its answers, {number(cut.second, percent=True)} % of the expert's"


def _unconfirmed(results: Results, members: Sequence[Member]) -> list[str]:
    """The members without held-out scores, and why they have none."""
    left = [member for member in members if not member.test_scores]
    if not left:
        return []
    compared = [e for e in results.store.evaluations("selection") if e.name is None]
    judged = [e for e in compared if results.scored(e) and results.feasible(e)]
    best = pareto.non_dominated(results.minimised(judged)) if judged else ()
    undefeated = {e.digest for e, keep in zip(judged, best, strict=True) if keep}
    run = _nobody_asked(results)
    reasons = Counter(run if run and m.test is None else _reason(results, m, len(compared), undefeated) for m in left)
    why = ", ".join(f"{n} {reason}" if len(reasons) > 1 else reason for reason, n in reasons.items())
    these = f"{len(left)} of {count(len(members), 'member')}"
    return [f"{these} not scored on held-out items, which finalists alone are asked: {why}."]


def _nobody_asked(results: Results) -> str:
    """Why the run has asked no more members than it has; empty where that lies in each of them."""
    manifest, status = results.store.manifest, results.store.read_json("status.json") or {}
    if status.get("finished") is False:
        return "not yet, as the run is not finished"
    if _finalists(results) == 0:
        return "not asked, as confirm.finalists is 0"
    if not any((manifest.get("items") or {}).get("test", {}).values()):
        return "not asked, as the run has no such items"
    return ""


def _reason(results: Results, member: Member, compared: int, undefeated: set[str]) -> str:
    """Why a member has no held-out scores, in a run that promotes."""
    if member.test is not None:
        return "failed on them"
    if compared and member.selection is None:
        return f"not among the {compared} compared on selection items (promote.candidates)"
    if member.selection is not None and member.selection.error is not None:
        return "failed on the selection items"
    if member.selection is not None and not results.feasible(member.selection):
        return "missed the constraints on the selection items"
    if member.selection is not None and member.digest not in undefeated:
        return "lost on the selection items"
    limit = _finalists(results)
    return f"not among the finalists ({'' if limit is None else f'at most {limit}, '}confirm.finalists)"


def _finalists(results: Results) -> int | None:
    """How many finalists the run confirms at most; None where its manifest does not say."""
    settings = (results.store.manifest.get("config") or {}).get("confirm") or {}
    limit = settings.get("finalists")
    return int(limit) if limit is not None else None


def _few_items(results: Results, members: Sequence[Member]) -> list[str]:
    cards = [results.scorecard(m.test) for m in members]
    found: list[str] = []
    few: dict[int, list[str]] = {}
    for objective in results.objectives:
        strata = next((card.strata[objective.label] for card in cards if card is not None), None)
        if strata is None:
            continue
        if not strata:
            found.append(f"{objective.label} is not explained by its items one by one, so it has no interval.")
        elif (n := min(len(stratum.items) for stratum in strata)) < FEW_ITEMS:
            few.setdefault(n, []).append(objective.label)
        clustered = [set(stratum.clusters) for stratum in strata if stratum.clusters is not None]
        if clustered and (n := min(map(len, clustered))) < FEW_CLUSTERS:
            found.append(
                f"The held-out items of {objective.label} belong to {count(n, 'cluster')}: intervals count these, "
                "and are wide."
            )
    found += [f"Only {count(n, 'held-out item')} for {', '.join(few[n])}: intervals are wide." for n in sorted(few)]
    return found
