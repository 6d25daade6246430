"""The page over a sweep's runs: one file, no request leaves it; style and drawing are those of a run's report."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from evomerge.report import wording
from evomerge.report.page import asset, json_block
from evomerge.report.results import short_name
from evomerge.report.sweep import facts as words
from evomerge.report.sweep.facts import SweepFacts
from evomerge.report.sweep.group import HYPERVOLUME, Array, Group
from evomerge.report.sweep.runs import SPLITS, SweepRun

_SCRIPTS = ("sweep_state.js", "draw.js", "sweep.js")


def sweep_page(facts: SweepFacts) -> str:
    """The page as one string of HTML."""
    script = "(() => {\n'use strict';\n" + "".join(asset(name) for name in _SCRIPTS) + "})();\n"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"count": wording.count, "duration": wording.duration, "share": _share, "chance": _chance}
    environment.globals |= {
        "score": wording.score,
        "number": wording.number,
        "isfinite": math.isfinite,
        "link": _link,
        "title_of": words.group_title,
        "difference": words.difference,
        "places": words.places,
        "mix": _mix,
        "HYPERVOLUME": HYPERVOLUME,
        "SEED": words.SEED,
        "SPLIT_SCORES": words.SPLIT_SCORES,
    }
    return environment.from_string(asset("sweep.html.j2")).render(
        facts=facts,
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(asset("report.css") + asset("sweep.css")),
        script=Markup(script),
        data=Markup(json_block({"groups": [_data(group) for group in facts.groups]})),
    )


def _link(run: SweepRun) -> str:
    """The address of a run's own report as seen from the page; empty where there is none."""
    return f"{quote(run.job.name)}/report.html" if run.reported else ""


def _share(value: float) -> str:
    """A share of the variance; beyond 0 or 1 it is noise."""
    return f"{100.0 * min(max(value, 0.0), 1.0):.0f}{wording.NBSP}%" if math.isfinite(value) else "–"


def _chance(value: float) -> str:
    """A p-value of permutations."""
    return "–" if not math.isfinite(value) else f"{value:.3f}" if value > 0.001 else "≤ 0.001"


def _mix(group: Group, key: str) -> bool:
    """Whether the values of a key stand for unequal mixes of the other keys, so that their means do not compare."""
    others = [other for other in group.levels if other != key]
    kinds = []
    for level in group.levels[key]:
        scored = [row for row in group.rows(key, level) if math.isfinite(group.measures[0].values[row])]
        if scored:
            kinds.append(sorted(tuple(group.values[other][row] for other in others) for row in scored))
    return any(kind != kinds[0] for kind in kinds)


def _data(group: Group) -> dict[str, Any]:
    """Data of a group's figures."""
    names = list(group.settings)
    setting = {row: index for index, name in enumerate(names) for row in group.settings[name]}
    count = len(group.objectives)
    pairs = [(i, j) for i in range(count) for j in range(i + 1, count)]
    splits = [split for split in SPLITS if any(split in run.fronts for run in group.runs)]
    return {
        "objectives": [
            {"label": o.label, "unit": group.unit[o.label], "higher": o.higher_is_better} for o in group.objectives
        ],
        "shown": group.split,
        "settings": names,
        "keys": {key: [*levels] for key, levels in group.levels.items()},
        "runs": [
            {
                "name": run.job.name,
                "candidates": run.candidates,
                "setting": setting[row],
                "levels": [group.levels[key].index(group.values[key][row]) for key in group.levels],
                **{
                    split: _points(group.signs * run.fronts[split]) if split in run.fronts else None for split in SPLITS
                },
                **{
                    f"chosen_{split}": _points([group.signs * run.chosen[split]])[0] if split in run.chosen else None
                    for split in SPLITS
                },
            }
            for row, run in enumerate(group.runs)
        ],
        "baselines": {
            split: [[short_name(name), _kind(name), *_points([scores])[0]] for name, scores in found.items()]
            for split, found in group.shared_baselines.items()
        },
        "surfaces": {
            split: {f"{i}-{j}": _surfaces(group.surfaces(split, i, j), names) for i, j in pairs} for split in splits
        },
        "courses": [] if group.several else _surfaces(group.courses(), names),
    }


def _kind(name: str) -> str:
    return name if name in ("base", "uniform") else "expert"


def _surfaces(found: dict[str, list[Array]], names: Sequence[str]) -> list[list[list[list[float]]]]:
    return [[_points(surface) for surface in found[name]] for name in names]


def _points(rows: Any) -> list[list[float]]:
    return [[float(f"{value:.6g}") for value in row] for row in rows]
