"""``report.md``: the report's facts as text that any viewer shows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from evomerge.report.archive.elites import OPTIMISTIC
from evomerge.report.facts import Facts
from evomerge.report.findings.family import ancestors, family
from evomerge.report.results import short_name
from evomerge.report.wording import PERCENT, SPLIT_WORDS, count, drop, duration, gap, number, score, whole

_MOST_ELITES = 25
_SPACES = re.compile(r"[^\S\u00a0\u202f]+")  # line ends and spaces, but those that hold a number and its unit together


def report_markdown(facts: Facts) -> str:
    """The whole report as Markdown."""
    sections = [
        [f"# {text(facts.title)}", "", f"**{text(facts.headline)}**", ""],
        _summary(facts),
        _warnings(facts),
        ["![Scores of the front's members and of the baselines](front.png)", ""],
        _archives(facts),
        _competition(facts),
        _members(facts),
        _family(facts),
        _baselines(facts),
        _indicators(facts),
        _optimism(facts),
        _genes(facts),
        _costs(facts),
        _failures(facts),
        _commands(facts),
    ]
    return "\n".join(line for section in sections for line in section).rstrip() + "\n"


def text(value: Any) -> str:
    """A value as plain Markdown text: on one line, with all that Markdown or HTML would read as markup escaped."""
    line = _SPACES.sub(" ", str(value)).strip()
    return re.sub(r"([\\`*_\[\]<>|#~&!])", r"\\\1", line)


def code(value: Any) -> str:
    """A value between backticks that its own backticks cannot end, fit for a table's cell."""
    line = _SPACES.sub(" ", str(value)).strip().replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    space = " " if "`" in line else ""
    return f"{fence}{space}{line}{space}{fence}"


def block(command: str) -> list[str]:
    """A command as a block of its own, which its own backticks cannot end."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", command)), default=0))
    return [f"{fence}sh", " ".join(command.splitlines()), fence, ""]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table of cells that are Markdown already."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def _summary(facts: Facts) -> list[str]:
    lines = [f"- {code(title)}: {text(' '.join(found))}" for title, found in facts.findings.items() if found]
    failed = f", {facts.failed} of them failed" if facts.failed else ""
    recommended = f", {facts.recommended} of them recommended by the searcher" if facts.recommended else ""
    held_out = count(facts.items("test"), "held-out item")
    compared = f"the best {facts.compared} compared on {count(facts.items('selection'), 'selection item')}; "
    lines.append(
        f"- {count(len(facts.results.candidates), 'candidate')} ever scored, on {facts.asked}{failed}{recommended}; "
        f"{compared if facts.compared else ''}"
        f"{count(len(facts.confirmed), 'member')} confirmed on {held_out}. "
        f"Marks hold after Holm's correction for {count(facts.comparisons, 'comparison')}; {facts.intervals}."
    )
    return [*lines, ""]


def _warnings(facts: Facts) -> list[str]:
    if not facts.warnings:
        return []
    return ["## Warnings", "", *(f"- {text(warning)}" for warning in facts.warnings), ""]


def _members(facts: Facts) -> list[str]:
    header = ["member"]
    for objective in facts.results.objectives:
        label = code(objective.label)
        header += [*(f"{label} {SPLIT_WORDS[split]}" for split in facts.splits), "minus best expert", "mark"]
    rows = []
    for member in facts.members:
        notes = [f" ({facts.knee})"] if member.knee else []
        notes += [" (recommended by the searcher)"] * member.recommended
        notes += [f" ({text(member.holding.verdict)})"] * bool(member.holding.verdict)
        notes += [f" (dominated by {text(', '.join(map(short_name, member.dominated_by)))})"] * bool(
            member.dominated_by
        )
        row = [code(member.id) + "".join(notes)]
        for label in (o.label for o in facts.results.objectives):
            unit = facts.unit[label]
            test, versus = member.test_scores.get(label), member.versus_expert.get(label)
            row.append(score(member.search_scores[label].mean, unit))
            if facts.compared:
                selection = member.selection_scores.get(label)
                row.append(score(selection.mean, unit) if selection else "–")
            row.append(text(whole(test, unit)) if test else "–")
            row.append(text(gap(versus.interval, unit)) if versus else "–")
            row.append(versus.mark if versus else "not scored on held-out items" if not test else "–")
        rows.append(row)
    return ["## Members", "", *(table(header, rows) if rows else ["The front is empty.", ""])]


def _archives(facts: Facts) -> list[str]:
    if not facts.archives:
        return []
    lines = ["## Archive of elites", "", "![Elites over their measures](archive.png)", ""]
    for archive in facts.archives:
        over = ", ".join(code(measure.label) for measure in archive.measures)
        lines.append(
            f"Best {code(archive.objective.label)} over {over}: "
            f"{len(archive.elites)} of {count(archive.cells, 'cell')}, {archive.confirmed} confirmed on held-out items."
        )
        ordered = sorted(archive.elites, key=archive.share, reverse=True)
        rows = [
            [
                code(elite.name),
                score(elite.quality, archive.unit),
                *(score(value, unit) for value, unit in zip(elite.measures, archive.units, strict=True)),
                *("–" if fresh is None else score(fresh, archive.unit) for fresh in (elite.selection, elite.held_out)),
            ]
            for elite in ordered[:_MOST_ELITES]
        ]
        header = [
            "elite",
            f"{code(archive.objective.label)} search",
            *(code(m.label) for m in archive.measures),
            "selection",
            "held-out",
        ]
        left = len(ordered) - len(rows)
        lines += ["", *table(header, rows), *([f"And {left} more, see archive.json.", ""] if left else [])]
    return [*lines, text(OPTIMISTIC), ""]


def _competition(facts: Facts) -> list[str]:
    found = facts.competition
    if found is None:
        return []
    header = ["member", "share of all items", *(code(f"{task} search") for task in found.tasks), "alone", "held-out"]
    rows = [
        [
            code(member.name),
            score(member.share, PERCENT),
            *(f"{member.scores[task]:.3f}" for task in found.tasks),
            str(member.alone),
            "–" if member.held_out is None else score(member.held_out, facts.unit[facts.results.objectives[0].label]),
        ]
        for member in found.members
    ]
    said = f"{len(rows)} members share {count(found.items, 'search item')}; on {found.unsolved} of these none scores."
    return ["## Archive", "", "![Shares of the members](archive.png)", "", said, "", *table(header, rows)]


def _family(facts: Facts) -> list[str]:
    """The family tree of the chosen member, or of the first one that comes from other merges."""
    relatives = family(facts.results, facts.members)
    born = [member for member in facts.members if relatives and relatives[member.digest].depth > 1]
    if not born:
        return []
    member = next((one for one in born if one.knee), born[0])
    lines = [f"## Family tree of member {code(member.id)}", ""]
    for key in ancestors(relatives, member.digest):
        one = relatives[key]
        if one.parents:
            lines.append(f"- {code(one.name)} ({text(one.place)}): {text(one.words(relatives))}")
    return [*lines, ""]


def _baselines(facts: Facts) -> list[str]:
    labels = [o.label for o in facts.results.objectives]
    header = ["baseline", *(f"{code(label)} {SPLIT_WORDS[split]}" for label in labels for split in facts.splits)]
    rows = []
    for baseline in facts.baselines:
        row = [text(baseline.short)]
        for label in labels:
            for split in facts.splits:
                unit = facts.unit[label]
                found = baseline.scores(split).get(label)
                row.append(text(whole(found, unit)) if found else "–")
        rows.append(row)
    return ["## Baselines", "", *table(header, rows)] if rows else []


def _indicators(facts: Facts) -> list[str]:
    if not facts.indicators:
        return []
    header = ["scores on", "hypervolume", "of the baselines alone", "R2", "of the baselines alone"]
    rows = [
        [f"{SPLIT_WORDS[split]} items", *map(number, (f.hypervolume, f.baselines[0], f.r2, f.baselines[1]))]
        for split, f in facts.indicators.items()
    ]
    return ["## The front in one number", "", *table(header, rows), text(facts.indicator_note), ""]


def _genes(facts: Facts) -> list[str]:
    found = facts.genes
    if found is None:
        return []
    lines = ["## Which genes mattered", ""]
    for label in found.found:
        lines += [f"{code(label)}: {text(found.sentence(label))}", ""]
        rows = [
            [code(name), text(whole(share.used, "%")), text(whole(share.own, "%")), number(share.trend, False, True, 2)]
            for _, name, share in found.rows(label)
        ]
        lines += table(["gene", "part of the variance", "own part", "trend"], rows) if rows else []
    return [*lines, text(found.note), ""] if found.note else lines


def _optimism(facts: Facts) -> list[str]:
    lines = []
    for label, splits in facts.optimism.items():
        unit = facts.unit[label]
        for split, (members, baselines) in splits.items():
            of = {"members": members} | ({"baselines": baselines} if baselines is not None else {})
            drops = (f"of the {who} {drop(value, unit)}" for who, value in of.items())
            lines.append(f"- {code(label)}, {split} scores: {', '.join(drops)}")
    what = "How much better scores are than held-out scores, on average, of the members, which were selected by them."
    found = ["## Optimism of selected scores", "", what, "", *lines, ""] if lines else []
    return found + _procedure(facts)


def _procedure(facts: Facts) -> list[str]:
    if not facts.procedure.note:
        return []
    lines = []
    for label, expected in facts.procedure.scores.items():
        unit = facts.unit[label]
        score = text(whole(expected.interval, unit))
        lines.append(
            f"- {code(label)}: {score}; the best {facts.procedure.score} flatters by {drop(expected.optimism, unit)}"
        )
    return ["## What such a search gives", "", text(facts.procedure.note), "", *lines, ""]


def _costs(facts: Facts) -> list[str]:
    kinds = facts.costs["kinds"]
    rows = [
        [row["what"], str(row["evaluations"]), str(row["items"]), *(duration(row["seconds"][kind]) for kind in kinds)]
        for row in facts.costs["rows"]
    ]
    total = [facts.costs["total"], ""] if facts.costs["total"] is not None else []
    how = [text(" ".join(facts.scoring)), ""] if facts.scoring else []
    return ["## Costs", "", *table(["", "evaluations", "items", *kinds], rows), *total, *how]


def _failures(facts: Facts) -> list[str]:
    if not facts.failures:
        return []
    rows = [
        [f["kind"], str(f["count"]), code(f["message"].splitlines()[0] if f["message"] else "")] for f in facts.failures
    ]
    return ["## Failures", "", *table(["kind", "evaluations", "first message"], rows)]


def _commands(facts: Facts) -> list[str]:
    lines = ["## Repeat and export", ""]
    if facts.command:
        lines += ["The command that repeats the run, or goes on with it:", "", *block(facts.command)]
    lines += ["Any member becomes a model folder:", "", *block(facts.export_command("ID"))]
    return [*lines, *([facts.export_note, ""] if facts.export_note else [])]
