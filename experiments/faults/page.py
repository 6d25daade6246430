"""The table of the kills."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_page(known: Mapping[str, Any], titles: Mapping[str, str], path: Path) -> str:
    """Writes the figures as Markdown and returns the text.

    Args:
        known: What the study found.
        titles: Name of a kind of search to its title.
        path: The file.
    """
    searches = known["searches"]
    kills, wrong = sum(map(_kills, searches)), sum(entry["wrong"] for entry in searches)
    versions = ", ".join(f"{name} {number}" for name, number in known["versions"].items())
    lines = [
        f"# {kills} kills, {wrong} wrong records",
        "",
        f"Measured {known['date']} on {known['cpu']}; {versions}.",
        "",
        "Searches whose driver, workers or nodes are killed by SIGKILL at random moments and that are started again by "
        "the same command. A record is wrong if it, its answers or what the searcher was told of it differ from those "
        "of a search that nothing happened to, or if it is missing or there twice. *Scored again*: candidates that a "
        "worker had begun more often than they are recorded; at most as many as there are workers for each kill of a "
        "driver, one for each kill of a worker, or of a node, which has one.",
        "",
        "| executor | search | searches | drivers killed | workers killed | nodes killed | records | scored again "
        "| wrong records |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for executor, name in dict.fromkeys((entry["executor"], entry["search"]) for entry in searches):
        rows = [entry for entry in searches if (entry["executor"], entry["search"]) == (executor, name)]
        killed = [sum(entry["kills"].get(victim, 0) for entry in rows) for victim in ("driver", "worker", "node")]
        sums = [sum(entry[what] for entry in rows) for what in ("records", "repeats", "wrong")]
        cells = [executor, titles[name], len(rows), *killed, *sums]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", "Made by `python -m experiments.faults.study`."]
    text = "\n".join(lines) + "\n"
    path.write_text(text, encoding="utf-8")
    return text


def _kills(entry: Mapping[str, Any]) -> int:
    return sum(entry["kills"].values())
