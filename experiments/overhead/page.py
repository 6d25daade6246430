"""The table of a measurement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

AIM, AIM_OF_REPLAY = 1.0, 1.0  # milliseconds per candidate
PARTS = ("framework", "fsync", "searcher", "decoding", "worker")


def write_page(known: dict[str, Any], path: Path) -> str:
    """Writes a measurement as Markdown and returns the text.

    Args:
        known: What the study measured.
        path: The file.
    """
    found, candidates = known["found"], known["candidates"]
    versions = ", ".join(f"{name} {number}" for name, number in known["versions"].items())
    lines = [
        "# The framework's own time per candidate",
        "",
        f"Measured {known['date']} on {known['cpu']}; {versions}.",
        "",
        f"A search of {candidates:,} candidates (48 genes, two objectives, {known['items']} items) that are scored by "
        "formulas, in one process. *Framework* is the loop, the store and the progress: all that is neither worker, "
        "searcher, decoding of genomes, nor waiting for the disk. Milliseconds per candidate, wall / CPU.",
        "",
        "| search | candidates | framework, first tenth | last tenth | fsync | searcher | decoding | worker |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, one in found.items():
        if one.get("parts"):
            lines.append(_row(name, one["parts"], candidates))
    replay, report = found["replay"]["seconds"], found["report"]["seconds"]
    search = found["search"]["seconds"]
    lines += [
        "",
        f"Aim: {AIM:g} ms for the framework with random search, the same from the first to the last candidate.",
        "",
        "| whole | wall, s | CPU, s | ms per candidate, wall |",
        "|---|---|---|---|",
        *(
            f"| {name} | {wall:.2f} | {cpu:.2f} | {1000 * wall / candidates:.3f} |"
            for name, (wall, cpu) in (("the search", search), ("replay of it", replay), ("report of it", report))
        ),
        "",
        f"Aim for replay: {AIM_OF_REPLAY:g} ms per candidate.",
    ]
    text = "\n".join(lines) + "\n"
    path.write_text(text, encoding="utf-8")
    return text


def _row(name: str, parts: list[dict[str, list[float]]], candidates: int) -> str:
    def mean(what: str) -> str:
        wall, cpu = (sum(part[what][k] for part in parts) / len(parts) for k in (0, 1))
        return f"{wall:.3f} / {cpu:.3f}"

    def one(part: dict[str, list[float]]) -> str:
        return " / ".join(f"{value:.3f}" for value in part["framework"])

    label = "random search" if name == "search" else name.removeprefix("search, ")
    count = {"search": candidates, "search, 100 items": candidates // 10}.get(name, 2000)
    rest = " | ".join(mean(what) for what in PARTS[1:])
    return f"| {label} | {count:,} | {one(parts[0])} | {one(parts[-1])} | {rest} |"
