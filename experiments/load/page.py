"""The table of the load."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_page(known: Mapping[str, Any], path: Path) -> str:
    """Writes what the study measured as Markdown and returns the text.

    Args:
        known: What the study measured.
        path: The file.
    """
    versions = ", ".join(f"{name} {number}" for name, number in known["versions"].items())
    lines = [
        f"# {known['candidates']:,} evaluations through each executor",
        "",
        f"Measured {known['date']} on {known['cpu']}; {versions}.",
        "",
        "Candidates are scored by formulas, so all time is the search's own. The driver's CPU time stands for the "
        "first and the last tenth of the search, which must be alike; its memory grows by what it keeps of each "
        "evaluation. Wall seconds count what else the machine does meanwhile; CPU seconds stand beside them.",
        "",
        "| executor | evaluations per second | driver's CPU per evaluation, ms: first tenth / last | driver's memory "
        "in the end, MB | of it per evaluation, kB | replay, s: wall / CPU | report, s: wall / CPU | its page, MB | "
        "run folder, MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for executor, found in known["found"].items():
        first, last = found["parts"][0], found["parts"][-1]
        workers = found["options"].get("workers")
        cells = [
            executor + (f", {workers} workers" if workers else ""),
            f"{found['rate']:,.0f}",
            f"{first['cpu']:.2f} / {last['cpu']:.2f}",
            f"{last['memory'] / 1e6:.0f}",
            f"{(last['memory'] - first['memory']) / 1e3 / (known['candidates'] * 0.9):.1f}",
            *(" / ".join(f"{seconds:.1f}" for seconds in found[what]) for what in ("replay", "report")),
            f"{found['page'] / 1e6:.1f}",
            f"{found['run'] / 1e6:.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Made by `python -m experiments.load.study`."]
    text = "\n".join(lines) + "\n"
    path.write_text(text, encoding="utf-8")
    return text
