"""The table of what came of the cases."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.fuzz.judge import ACCEPTED, REFUSED, WRONG

_SAMPLES = 6  # messages of each family


def write_page(records: Sequence[dict[str, Any]], seed: int, about: dict[str, Any], folder: Path) -> None:
    """Writes the table as ``fuzz.md``, and as ``fuzz.json`` with every case that was judged wrong.

    Args:
        records: All cases.
        seed: Of the study.
        about: Machine, date and versions.
        folder: Where to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    families = list(dict.fromkeys(record["family"] for record in records))
    counts = {family: Counter(r["verdict"] for r in records if r["family"] == family) for family in families}
    wrong = [record for record in records if record["verdict"] == WRONG]
    slowest = max(records, key=lambda record: record["seconds"])
    data = {"seed": seed, **about, "cases": len(records), "families": counts, "wrong": wrong}
    (folder / "fuzz.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    lines = [
        "# Damaged input",
        "",
        f"{len(records):,} cases, seed {seed}, run {about['date']} on {about['cpu']}; {versions}.",
        "",
        "*Refused*: exit code 2, a message that names the file, nothing left behind. *Accepted*: exit code 0, and "
        "safetensors and transformers accept the same files and load the result. *Wrong*: anything else.",
        "",
        "| damaged | cases | refused | accepted | wrong |",
        "|---|---|---|---|---|",
    ]
    for family in families:
        found = counts[family]
        lines.append(f"| {family} | {found.total()} | {found[REFUSED]} | {found[ACCEPTED]} | {found[WRONG]} |")
    total = sum(counts.values(), Counter())
    lines.append(f"| all | {total.total()} | {total[REFUSED]} | {total[ACCEPTED]} | {total[WRONG]} |")
    lines += ["", f"The slowest took {slowest['seconds']:.1f} s.", "", "## Some of the messages", ""]
    for family in families:
        refused = [r for r in records if r["family"] == family and r["verdict"] == REFUSED]
        for record in refused[:: max(1, len(refused) // _SAMPLES)][:_SAMPLES]:
            lines.append(f"- `{_plain(record['file'])}`, {_plain(record['what'])}:  ")
            lines.append(f"  `{_plain(record['said'].partition('  - ')[2])}`")
    (folder / "fuzz.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _plain(text: str, length: int = 300) -> str:
    """A text on one line, without what Markdown would take for its own."""
    line = ascii(" ".join(text.split()))[1:-1].replace("`", "'").replace("|", "\\|")
    return line if len(line) <= length else f"{line[:length]}..."
