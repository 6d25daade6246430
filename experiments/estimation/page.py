"""The page of results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from experiments.estimation.measures import CEILING
from experiments.estimation.procedures import PEERS
from experiments.estimation.ranking import SIZES
from experiments.estimation.records import Unit
from experiments.estimation.summary import Row, find, rows, shared
from experiments.estimation.verdicts import COMPARED, factors, gaps, verdicts

GROUP_TITLES = {
    "local": "merges around a good one",
    "search": "candidates of two searches",
    "broad": "uniform grid and random merges",
}


def page(found: Sequence[Row], units: Sequence[Unit], about: str) -> str:
    """The page as Markdown.

    Args:
        found: The rows; those that rest on fewer populations than others at the same n are left out.
        units: The repeats behind them.
        about: What it was made of, a paragraph.
    """
    every, found = found, shared(found)
    parts = [
        "# How well few items rank and measure merged models",
        about,
        "## Targets",
        *_table(
            ("target", "found", "met"),
            ((one.target, one.value, "yes" if one.met else "**no**") for one in verdicts(found, units, SIZES)),
        ),
        "## Ranking: Kendall's tau against the full benchmark",
    ]
    for group, title in GROUP_TITLES.items():
        if find(found, part="ranking", group=group):
            parts += [f"### {title.capitalize()}", *_ranking(found, group)]
    parts += _tables(units)
    parts += ["## Level: error, and coverage of 95 % intervals", *_level(found)]
    parts += ["## Never worse than the plain mean?", *_gaps(units)]
    parts += ["## Which items are asked", *_choosing(found)]
    parts += ["## Smooth proxies", *_smooth(every)]
    parts += [f"## Items saved at n = {COMPARED}", *_factors(found)]
    parts += ["## At an equal budget of items", *_campaign(found)]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
    return ["\n".join(lines)]


def _by_size(
    found: Sequence[Row], labels: Iterable[str], measure: str, scale: float = 1.0, **wanted: object
) -> list[list[str]]:
    """A line for each label: a measure at each n."""
    digits = 2 if scale == 1.0 else 1
    lines = []
    for label in labels:
        cells = {row.n: f"{scale * row.means[measure]:.{digits}f}" for row in find(found, label=label, **wanted)}
        lines.append([label, *(cells.get(n, "–") for n in SIZES)])
    return lines


def _labels(found: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.label for row in found))


def _ranking(found: Sequence[Row], group: str) -> list[str]:
    own = find(found, part="ranking", group=group)
    head = ["estimator", *(f"common {n}" for n in SIZES), *(f"rotating {n}" for n in SIZES)]
    labels = _labels(own)
    common = _by_size(own, labels, "tau", design="common")
    rotating = _by_size(own, labels, "tau", design="rotating")
    lines = [one + two[1:] for one, two in zip(common, rotating, strict=True)]
    apart = _by_size(own, ["mean"], "tau", design="independent")[0]
    lines.append(["mean, independent subsets", *apart[1:], *("" for _ in SIZES)])
    repeats = {row.repeats for row in own if row.label == "mean"}
    worst = max(row.errors["tau"] for row in own)
    return [*_table(head, lines), f"{max(repeats)} repeats; standard errors of these means are {worst:.3f} or less."]


BY_TABLE = (
    ("mean, independent subsets", {"part": "ranking", "label": "mean", "design": "independent"}),
    ("mean, common items", {"part": "ranking", "label": "mean", "design": "common"}),
    ("gp-IRT, common items", {"part": "ranking", "label": "gp-IRT", "design": "common"}),
    ("mean, informative items", {"part": "choosing", "label": "informative", "design": "mean"}),
    ("mean, rank-preserving items", {"part": "choosing", "label": "rank preserving", "design": "mean"}),
    ("log-probability, random items", {"part": "smooth", "label": "gold_logprob", "design": "random"}),
    ("log-probability, informative items", {"part": "smooth", "label": "gold_logprob", "design": "informative"}),
    ("mean, rotating items", {"part": "ranking", "label": "mean", "design": "rotating"}),
    ("posterior, rotating items", {"part": "ranking", "label": "posterior", "design": "rotating"}),
)


def _tables(units: Sequence[Unit]) -> list[str]:
    """Tau at a few items, table by table: what holds for one family need not hold for another."""
    names = list(dict.fromkeys(unit.table for unit in units))
    own = {name: rows([unit for unit in units if unit.table == name]) for name in names}
    lines = []
    for title, wanted in BY_TABLE:
        cells = [find(own[name], group="local", n=COMPARED, **wanted) for name in names]
        lines.append([title, *(f"{found[0].means['tau']:.2f}" if found else "–" for found in cells)])
    lines = [line for line in lines if set(line[1:]) != {"–"}]
    if len(names) < 2 or not lines:
        return []
    return [
        f"### Table by table: {GROUP_TITLES['local']}, {COMPARED} items",
        *_table(("what ranks", *(f"`{name}`" for name in names)), lines),
    ]


def _level(found: Sequence[Row]) -> list[str]:
    own = find(found, part="ranking", group="local")
    head = [
        "estimator",
        *(f"error {n}" for n in SIZES),
        *(f"coverage {n}" for n in SIZES),
        "width 20",
        "paired 20",
        "optimism 20",
        "regret 20",
    ]
    parts = []
    for design in ("common", "rotating"):
        labels = _labels(own)
        errors = _by_size(own, labels, "mae", 100.0, design=design)
        inside = _by_size(own, labels, "inside", 100.0, design=design)
        lines = []
        for one, two in zip(errors, inside, strict=True):
            row = find(own, label=one[0], design=design, n=COMPARED)
            more = [100 * row[0].means[name] for name in ("width", "paired", "optimism", "regret")] if row else []
            lines.append([*one, *two[1:], *(f"{value:.1f}" for value in more)])
        parts += [f"### {design.capitalize()} items, local", *_table(head, lines)]
    return [
        *parts,
        "Mean absolute error in points; coverage and width of 95 % intervals, and coverage of intervals of differences "
        "between two candidates; optimism of the largest estimate and regret of its candidate, in percent and points.",
    ]


def _gaps(units: Sequence[Unit]) -> list[str]:
    head = ["what ranks", "mean difference", "worst difference", "where", "surely below -0.02"]
    lines = [
        [
            one.label,
            f"{one.mean:+.3f}",
            f"{one.least:+.2f} ± {one.error:.2f}",
            f"{one.cell}, n = {one.n}",
            f"{one.below} of {one.tried}",
        ]
        for one in gaps(units, SIZES)
    ]
    return [
        *_table(head, lines),
        "Differences in tau to the plain mean of right and wrong on random common items, paired; ± one standard error; "
        "the last column counts cells and sizes where even two standard errors more are below -0.02.",
    ]


def _choosing(found: Sequence[Row]) -> list[str]:
    own = find(found, part="choosing", group="local")
    lines = []
    for label in _labels(own):
        for design in dict.fromkeys(row.design for row in own):
            taus = _by_size(own, [label], "tau", design=design)[0]
            row = find(own, label=label, design=design, n=COMPARED)[0]
            lines.append(
                [label, design, *taus[1:], f"{100 * row.means['mae']:.1f}", f"{100 * row.means['inside']:.1f}"]
            )
    head = ["policy", "estimator", *(f"tau {n}" for n in SIZES), "error 20", "coverage 20"]
    return [
        *_table(head, lines),
        "One window for all targets, chosen by the answers of baselines and 12 probes to everything, whose cost is not "
        "counted here. Within one batch the policy `rotating` draws at random. Where a policy names its items "
        "(`rank preserving`, `disagreement` without audit) they are no sample, and intervals mean nothing.",
    ]


def _smooth(found: Sequence[Row]) -> list[str]:
    own = _named(find(found, part="smooth", group="local"))
    ceilings = [
        [row.label, f"{row.means['tau']:.2f}", f"{row.means['measured']:.2f}"] for row in own if row.design == CEILING
    ]
    lines = []
    for design in ("random", "informative"):
        labels = _labels(row for row in own if row.design == design)
        lines += [[line[0], design, *line[1:]] for line in _by_size(own, labels, "tau", design=design)]
    return [
        *_table(("proxy", "ceiling", "as 12 probes show it"), ceilings),
        *_table(("score", "items", *(f"tau {n}" for n in SIZES)), lines),
        "The ceiling is tau of the proxy over all items against accuracy over all items. `by its ceiling`: the "
        "log-probability alone where the probes' ceiling is 0.9 or more, the mean of ranks from 0.75, else accuracy.",
    ]


def _named(own: Sequence[Row]) -> list[Row]:
    """The rows, those of a metric that not all populations have with the number of those that do in their label."""
    most = max((len(row.cells) for row in own), default=0)
    return [
        row if len(row.cells) == most else replace(row, label=f"{row.label} ({len(row.cells)} of {most} populations)")
        for row in own
    ]


def _factors(found: Sequence[Row]) -> list[str]:
    named = sorted(factors(found, "local").items(), key=lambda item: -item[1][0])
    lines = [[label, f"{tau:.2f}", f"{'> ' if more else ''}{factor:.1f}"] for label, (tau, factor, more) in named]
    return [
        *_table(("what ranks", "tau", "factor"), lines),
        "Items that the plain mean needs for the same tau when every candidate has its own random ones, over those "
        f"that were asked, {COMPARED}. A task with fewer items than the 400 and 800 of that reference counts with all "
        "of them, so that factors reaching so far are rather low.",
    ]


def _campaign(found: Sequence[Row]) -> list[str]:
    own = find(found, part="campaign")
    parts = []
    for measure, title in (
        ("regret", "Regret of the candidate returned, points"),
        ("optimism", "Claimed less fresh score, points"),
    ):
        lines = _by_size(own, _labels(own), measure, 100.0)
        parts += [f"### {title}", *_table(("procedure", *(f"{n} items" for n in SIZES)), lines)]
    lines = _by_size(own, _labels(own), "inside", 100.0)
    parts += [
        "### Fresh score inside the claim's 95 % interval, %",
        *_table(("procedure", *(f"{n} items" for n in SIZES)), lines),
    ]
    worst = max(row.errors["regret"] for row in own)
    most = max(len(row.cells) for row in own)
    fewer = {row.n: len(row.cells) for row in own if len(row.cells) < most}
    few = ", ".join(f"{count} at {n} items" for n, count in sorted(fewer.items()))
    note = f" Budgets of more than a quarter of a task's items are not played: of {most} populations {few}."
    note = f"{note} The figure shows those that have all budgets." if fewer else ""
    return [
        *parts,
        "Items a candidate, everything that was asked counted but the baselines. Standard errors of regrets are "
        f"{100 * worst:.1f} points or less. The peers' exact practice is `{PEERS[0].label}` at 20 items." + note,
    ]
