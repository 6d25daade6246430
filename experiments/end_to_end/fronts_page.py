"""The section on searches for two objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.end_to_end.fronts import FINALISTS, PROMOTED
from experiments.end_to_end.summary import columns, over_runs, percent, points
from experiments.end_to_end.ways import FRONTS, MORE, PEERS

_NAMES = ("claimed", "true", "claimed at once", "true at once", "items", "candidates", "seconds")


def section(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The section, from the records of the searches."""
    runs, found = columns(entries, _NAMES)
    held = {way: [one for entry in entries if entry["way"] == way and entry["run"] in runs for one in entry["held"]]
            for way in found}  # fmt: skip
    lines = [
        "## Two objectives",
        "",
        f"Both exams as objectives of NSGA-II, {len(runs)} runs. The peers' way claims its front by search scores,",
        f"evomerge at most {FINALISTS} finalists of {PROMOTED} promoted, by their scores on the test split; at most",
        f"{FINALISTS} members are judged. *Hypervolume* is that from the origin; *at once* is the worse exam of the",
        "member that by its claim is best at both; *hold* counts the members' exams whose interval holds the truth.",
        "",
        "| way | items | candidates | true hypervolume | claimed - true | of five times the items | less the peers' "
        "| at once, true | claimed - true | hold | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in (way.name for way in FRONTS if way.name in found):
        own = found[name]
        true, worse = own["true"], own["true at once"]
        share = percent(over_runs(true / found[MORE]["true"])) if MORE in found and name != MORE else ""
        gain = points(over_runs(true - found[PEERS]["true"])) if PEERS in found and name != PEERS else ""
        cells = [
            name, f"{own['items'].mean():,.0f}", f"{own['candidates'].mean():.0f}", percent(over_runs(true)),
            points(over_runs(own["claimed"] - true)), share, gain, percent(over_runs(worse)),
            points(over_runs(own["claimed at once"] - worse)), f"{100 * np.mean(held[name]):.0f} %",
            f"{own['seconds'].mean():.0f}",
        ]  # fmt: skip
        lines += [f"| {' | '.join(cells)} |"]
    return lines
