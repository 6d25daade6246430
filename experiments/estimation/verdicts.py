"""The targets that were set before, and whether they are met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.estimation.choosing import POLICIES
from experiments.estimation.records import Unit
from experiments.estimation.smooth import ACCURACY
from experiments.estimation.summary import MARGIN, Gap, Row, curve, find, gap, shared, worth
from experiments.estimation.variants import MEAN, VARIANTS

RANDOM = POLICIES[0]
COMPARED = 20  # items at which factors are quoted


@dataclass(frozen=True)
class Verdict:
    """One target.

    Attributes:
        target: What was wanted.
        value: What was found, in words.
        met: Whether it is enough.
    """

    target: str
    value: str
    met: bool


def factors(found: Sequence[Row], group: str, n: int = COMPARED) -> dict[str, tuple[float, float, bool]]:
    """Label to tau with n common items, items that independent subsets need for it over n, and whether it is more yet.

    The reference is the plain mean with every candidate asked its own random items.
    """
    found = shared(found)
    reference = curve(found, part="ranking", group=group, label=MEAN.label, design="independent")
    if not reference:
        return {}
    named = {}
    for row in found:
        if row.group == group and row.n == n and row.part in ("ranking", "choosing", "smooth"):
            if row.part == "ranking" and row.design != "common":
                continue
            label = row.label if row.part == "ranking" else f"{row.label}, {row.design}"
            items, more = worth(row.means["tau"], reference)
            named[label] = (row.means["tau"], items / n, more)
    return named


def gaps(units: Sequence[Unit], sizes: Sequence[int]) -> list[Gap]:
    """The worst difference in tau to the plain mean on random common items, over sizes.

    Of every estimator on common items, of the mean by every policy, and of smooth scores on random items.
    """
    compared = [("ranking", variant.label, "common", MEAN.label) for variant in VARIANTS if variant is not MEAN]
    compared += [("choosing", one.label, MEAN.label, RANDOM.label) for one in POLICIES if one is not RANDOM]
    scores = dict.fromkeys(key.split("|")[0] for unit in units if unit.part == "smooth" for key in unit.found)
    compared += [("smooth", score, "random", ACCURACY) for score in scores if score != ACCURACY]
    prefixes = {"ranking": "", "choosing": "items: ", "smooth": "proxy: "}
    found = []
    for part, label, design, plain in compared:
        keys = {f"{label}|{design}|{n}": f"{plain}|{design}|{n}" for n in sizes}
        found.append(gap(units, part, f"{prefixes[part]}{label}", keys))
    return [one for one in found if one is not None]


def verdicts(found: Sequence[Row], units: Sequence[Unit], sizes: Sequence[int]) -> list[Verdict]:
    """All targets; where the best of several is named, it is the best in hindsight."""
    found, judged = shared(found), list[Verdict]()
    for n, wanted in ((20, 0.80), (50, 0.88)):
        judged.append(_best(found, f"tau ≥ {wanted:.2f}, local, {n} common items", n, wanted))
    for n, wanted in ((20, 0.50), (50, 0.70)):
        rotating = find(found, part="ranking", group="local", design="rotating", n=n)
        judged.append(_highest(rotating, f"tau ≥ {wanted:.2f}, local, {n} rotating items", wanted))
    for n, wanted in ((20, 0.035), (50, 0.020)):
        rows = find(found, part="ranking", group="local", design="common", n=n)
        best = min(rows, key=lambda row: row.means["mae"])
        text = f"{100 * best.means['mae']:.1f} points ({best.label})"
        judged.append(
            Verdict(
                f"mean absolute error ≤ {100 * wanted:.1f} points, local, {n} items", text, best.means["mae"] <= wanted
            )
        )
    judged += [_regret(found, 10, 0.015), _regret(found, 20, 0.007), *_claims(found, COMPARED)]
    judged += _coverage(found, sizes)
    most = max(factors(found, "local").items(), key=lambda item: item[1][1], default=None)
    if most is not None:
        label, (_, factor, more) = most
        text = f"{'more than ' if more else ''}{factor:.1f} ({label})"
        judged.append(
            Verdict("item saving factor ≥ 10 against independent subsets, 20 items, local", text, factor >= 10.0)
        )
    worst = gaps(units, sizes)
    fine = [one.label for one in worst if one.below == 0]
    target = (
        f"never worse than the plain mean in tau by more than {MARGIN}, in any cell, at any n (by two standard errors)"
    )
    text = f"{len(fine)} of {len(worst)} ways to rank" + (f": {', '.join(fine)}" if fine else "")
    judged.append(Verdict(target, text, bool(worst) and len(fine) == len(worst)))
    return judged


def _best(found: Sequence[Row], target: str, n: int, wanted: float) -> Verdict:
    rows = [row for row in find(found, group="local", n=n) if row.part in ("ranking", "choosing", "smooth")]
    return _highest([row for row in rows if row.part != "ranking" or row.design == "common"], target, wanted)


def _highest(rows: Sequence[Row], target: str, wanted: float) -> Verdict:
    best = max(rows, key=lambda row: row.means["tau"])
    named = best.label if best.part == "ranking" else f"{best.label}, {best.design}"
    return Verdict(target, f"{best.means['tau']:.2f} at best ({named})", best.means["tau"] >= wanted)


def _regret(found: Sequence[Row], n: int, wanted: float) -> Verdict:
    rows = find(found, part="campaign", n=n)
    best = min(rows, key=lambda row: row.means["regret"])
    text = f"{100 * best.means['regret']:.1f} points at best ({best.label})"
    target = f"regret ≤ {100 * wanted:.1f} points at {n} items a candidate, everything counted"
    return Verdict(target, text, best.means["regret"] <= wanted)


def _claims(found: Sequence[Row], n: int) -> list[Verdict]:
    """Optimism of promoted finalists: is it 0 within two standard errors?"""
    rows = [row for row in find(found, part="campaign", n=n) if row.label.endswith(("promoted", "OCBA"))]
    if not rows:
        return []
    worst = max(rows, key=lambda row: abs(row.means["optimism"]) / max(row.errors["optimism"], 1e-9))
    text = f"{100 * worst.means['optimism']:+.1f} ± {100 * worst.errors['optimism']:.1f} points ({worst.label})"
    met = all(abs(row.means["optimism"]) <= 2.0 * row.errors["optimism"] for row in rows)
    return [Verdict(f"optimism of promoted finalists 0 within two standard errors, {n} items", text, met)]


def _coverage(found: Sequence[Row], sizes: Sequence[int]) -> list[Verdict]:
    """Coverage of 95 % intervals by estimator, over all sizes of either design."""
    judged = []
    for design in ("common", "rotating"):
        inside = {}
        for variant in VARIANTS:
            values = [
                row.means["inside"]
                for row in find(found, part="ranking", group="local", label=variant.label, design=design)
            ]
            if values:
                inside[variant.label] = (min(values), max(values))
        good = [label for label, (low, high) in inside.items() if low >= 0.93 and high <= 0.97]
        safe = [label for label, (low, _) in inside.items() if low >= 0.93]
        named = f" ({', '.join(good)})" if good else ""
        text = (
            f"{len(good)} of {len(inside)} estimators at every n{named}; never below 93 %: {', '.join(safe) or 'none'}"
        )
        judged.append(Verdict(f"coverage 93 to 97 %, local, {design} items", text, len(good) == len(inside)))
    return judged
