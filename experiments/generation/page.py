"""The page of the generation benchmark: a table for each number type and population, and what was aimed at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import json_lines
from experiments.repeats import over_repeats

Line = dict[str, Any]
NAMES = {
    "worked": "worked answers, 5-shot",
    "short": "short answers, 0-shot",
    "short_5shot": "short answers, 5-shot",
    "chat": "free chat",
}
WAYS = ("stock", "off", "none", "drafts")
HEAD = (
    "| task | drafts of | candidates | passes per answer | tokens per answer | seconds | tokens over least "
    "| times stock | times off | times none | texts that differ |"
)
NOTE = """Per measured candidate; means over *candidates* of them. Four numbers in a cell are of *stock*
(lm-eval), *off* (`fitness.drafts=off`), *none* (nobody has answered before) and *drafts*; three are the last three of
these. *Drafts of*: how many candidates had answered before, beside the baselines. *Seconds* are
{clock}. *Times*: how many times as fast with drafts as that way, geometric means with 95 %
t intervals. *Tokens* go through the model, padding included; *least* is every beginning that prompts share once, and
every answer once. *Texts that differ* do so from stock's, which rounds in another arrangement."""
AIMS: tuple[tuple[str, Callable[[Line], bool], Callable[[Line], float], Callable[[float], bool]], ...] = (
    (
        "worked answers after 10 candidates at least 5 times as fast as stock",
        lambda line: line["task"] == "worked" and line["after"] == 10,
        lambda line: ratio(line, "stock", "drafts"),
        lambda value: value >= 5,
    ),
    (
        "worked answers after 10 candidates: tokens at most 1.5 times the least",
        lambda line: line["task"] == "worked" and line["after"] == 10,
        lambda line: line["ways"]["drafts"]["tokens"] / line["least_tokens"],
        lambda value: value <= 1.5,
    ),
)


def clock(line: Line) -> str:
    """The field of a way's seconds: on a processor those of the process, which other work does not add to."""
    return "cpu" if line["machine"]["device"] == "cpu" else "seconds"


def ratio(line: Line, way: str, other: str) -> float:
    """Seconds of one way over those of another."""
    return float(line["ways"][way][clock(line)] / line["ways"][other][clock(line)])


def told(line: Line) -> str:
    """A measured candidate in a few words."""
    ways = " ".join(f"{way} {found['cpu']:.1f} s {found['tokens']} tokens" for way, found in line["ways"].items())
    return f"{line['task']} {line['dtype']} after {line['after']}, candidate {line['candidate']}: {ways}"


def times(lines: Sequence[Line], way: str) -> str:
    """How many times as fast as another way answers with drafts are, with an interval."""
    mean, low, high = (np.exp(value) for value in over_repeats(np.log([ratio(line, way, "drafts") for line in lines])))
    return f"{mean:.2f}" if len(lines) < 2 else f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def row(lines: Sequence[Line]) -> str:
    """A row of the table, of one task and one number of drafts."""

    def cell(field: str, form: str, ways: Sequence[str] = WAYS, *, each: bool = False) -> str:
        found = [[line["ways"][way][field] / (line["items"] if each else 1) for line in lines] for way in ways]
        return " / ".join(format(float(np.mean(values)), form) for values in found)

    over = np.mean([line["ways"]["drafts"]["tokens"] / line["least_tokens"] for line in lines])
    cells = [NAMES[lines[0]["task"]], str(lines[0]["after"]), str(len(lines))]
    cells += [cell("passes", ".1f", each=True), cell("tokens", ".0f", each=True), cell(clock(lines[0]), ".2f")]
    cells += [f"{over:.2f}", *(times(lines, way) for way in WAYS[:3]), cell("differ", ".0%", WAYS[1:])]
    return f"| {' | '.join(cells)} |"


def table(lines: Sequence[Line]) -> list[str]:
    """The table of one number type and population."""
    rows = {(line["task"], line["after"]): [] for line in lines}  # type: dict[tuple[str, int], list[Line]]
    for line in lines:
        rows[line["task"], line["after"]].append(line)
    order = sorted(rows, key=lambda key: (list(NAMES).index(key[0]), key[1]))
    return [HEAD, "|---" * 11 + "|", *(row(rows[key]) for key in order)]


def aims(lines: Sequence[Line]) -> list[str]:
    """What was aimed at, and what came of it."""
    found = []
    for name, asked, measure, met in AIMS:
        if values := [measure(line) for line in lines if asked(line)]:
            mean = float(np.exp(np.mean(np.log(values))))
            found.append(f"- {name}: {mean:.2f}, {'met' if met(mean) else 'missed'}")
    for way, name in (("off", "`fitness.drafts=off`"), ("none", "no drafts of others")):
        groups: dict[tuple[str, int], list[float]] = {}
        for line in lines:
            groups.setdefault((line["task"], line["after"]), []).append(np.log(ratio(line, way, "drafts")))
        slowest, (task, after) = min((np.exp(np.mean(group)), key) for key, group in groups.items())
        found.append(
            f"- with drafts at most 5 % slower than with {name}: {slowest:.2f} times as fast at worst ({NAMES[task]} "
            f"after {after}), {'met' if slowest >= 0.95 else 'missed'}"
        )
    return found


def continuous(lines: Sequence[Line]) -> list[str]:
    """Continuous batching beside stock, where it was tried."""
    tried = [line for line in lines if "continuous" in line["ways"]]
    if not tried:
        return []
    text = [
        "`generate_batch`, transformers' continuous batching, told the length of each answer beforehand as it knows no "
        "stop texts:",
        "",
        "| task | seconds: stock / off / none / continuous | tokens per answer | texts that differ |",
        "|---|---|---|---|",
    ]
    for line in tried:
        ways, field = line["ways"], clock(line)
        shown = ("stock", "off", "none", "continuous")
        cells = [NAMES[line["task"]], " / ".join(f"{ways[way][field]:.2f}" for way in shown)]
        cells.append(" / ".join(f"{ways[way]['tokens'] / line['items']:.0f}" for way in shown))
        text.append(f"| {' | '.join(cells)} | {100 * ways['continuous']['differ']:.0f} % |")
    return [*text, ""]


def write(figures: Path) -> None:
    """Writes the page beside the file of figures."""
    lines = json_lines.read(figures)
    text = ["# Generation: seconds, passes and tokens per candidate", ""]
    for key in dict.fromkeys((line["dtype"], line["population"]) for line in lines):
        of = [line for line in lines if (line["dtype"], line["population"]) == key]
        about = of[-1]["machine"]
        versions = ", ".join(f"{name} {about['versions'][name]}" for name in ("torch", "transformers", "lm-eval"))
        own = clock(of[-1]) == "cpu"
        text += [
            f"## {key[0]}, population `{key[1]}`",
            "",
            f"SmolLM2-135M merges, {of[0]['items']} items a task, {about['cpu'] if own else about['device']}, one "
            f"thread; {versions}; {about['date']}.",
            "",
            *table(of),
            "",
            NOTE.format(clock="processor seconds of the process" if own else "wall seconds"),
            "",
            *aims(of),
            "",
            *continuous(of),
        ]
    figures.with_name("generation.md").write_text("\n".join(text), encoding="utf-8")
