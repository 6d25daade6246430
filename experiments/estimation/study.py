"""How well estimators, policies, races and proxies do on recorded merges, against all that these answered.

    python -m experiments.estimation.study experiments/responses/example_0 ... [--repeats 200]

One process, resumable: every repeat is kept as soon as it is done. Seeds are the names of what is drawn.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.estimation.cells import LEAST_SPREAD, PROBES, TARGETS
from experiments.estimation.figures import campaign_figure, ranking_figure
from experiments.estimation.page import page
from experiments.estimation.ranking import SIZES
from experiments.estimation.records import Population, Unit, record
from experiments.estimation.summary import rows, shared, throughout
from experiments.estimation.verdicts import factors, gaps, verdicts


def about(units: Sequence[Unit], tables: Sequence[str], populations: Mapping[str, Population]) -> str:
    """What the results rest on."""
    count = {part: sum(unit.part == part for unit in units) for part in ("ranking", "campaign")}
    named = ", ".join(f"`{name}`" for name in tables)
    fewest = min((one.targets for one in populations.values()), default=TARGETS)
    ranked = (
        f"{TARGETS} candidates" if fewest == TARGETS else f"{fewest} to {TARGETS} candidates (as many as there are)"
    )
    return (
        f"Response tables {named}. In each repeat {ranked} of a population are ranked from their answers "
        f"to a few items; {PROBES} others and baselines have answered everything. Truth is the mean over all items. "
        f"{count['ranking']} repeats, and {count['campaign']} campaigns of each procedure and budget. "
        "Figures: [ranking](ranking.png), [equal budgets](campaign.png).\n\n"
        "Populations, with the standard deviation of true scores in points: "
        f"{', '.join(f'{cell} {100 * one.spread:.1f}' for cell, one in populations.items())}. "
        f"Those below {100 * LEAST_SPREAD:.2f} are left out."
    )


def write(out: Path, units: Sequence[Unit], tables: Sequence[str], populations: Mapping[str, Population]) -> None:
    """Writes page, data and figures."""
    found = rows(units)
    out.mkdir(parents=True, exist_ok=True)
    (out / "estimation.md").write_text(page(found, units, about(units, tables, populations)), encoding="utf-8")
    data = {
        "tables": list(tables),
        "spreads": {cell: round(one.spread, 5) for cell, one in populations.items()},
        "targets": [one.__dict__ for one in verdicts(found, units, SIZES)],
        "worst_differences": [one.__dict__ for one in gaps(units, SIZES)],
        "factors": {
            label: {"tau": tau, "factor": factor, "more": more}
            for label, (tau, factor, more) in factors(found, "local").items()
        },
        "rows": [row.to_json() for row in found],
    }
    (out / "estimation.json").write_text(_lines(data), encoding="utf-8")
    ranking_figure(shared(found), out / "ranking.png")
    campaign_figure(rows(throughout(units, "campaign")), out / "campaign.png")


def _lines(data: Mapping[str, object]) -> str:
    """JSON with a line for each entry of a list."""
    parts = []
    for name, value in data.items():
        entries = [json.dumps(one, ensure_ascii=False) for one in value] if isinstance(value, list) else None
        text = json.dumps(value, ensure_ascii=False) if entries is None else "[\n" + ",\n".join(entries) + "\n]"
        parts.append(f"{json.dumps(name)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main(words: Sequence[str] | None = None) -> None:
    """Reads the command line, makes what is missing, writes the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+", help="folders of response tables")
    parser.add_argument("--repeats", type=int, default=200, help="in all local populations together")
    parser.add_argument("--work", type=Path, default=Path("experiments/estimation/work"), help="what is done")
    parser.add_argument("--out", type=Path, default=Path("results/estimation"), help="page, data and figures")
    arguments = parser.parse_args(words)
    started = time.process_time()

    def say(text: str) -> None:
        print(f"{time.process_time() - started:.0f} s: {text}", flush=True)

    units, populations = record(arguments.tables, arguments.work, arguments.repeats, say)
    write(arguments.out, units, [folder.name for folder in arguments.tables], populations)
    say(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
