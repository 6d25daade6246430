"""``report.html``: one file, no request leaves it.

The template is rendered with autoescaping on; numbers for the figures travel as a JSON block, which
a script draws. The policy in the page's head allows that one script, by its hash, and nothing from anywhere else.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from evomerge.analysis import Interval
from evomerge.analysis.importance import Share
from evomerge.evaluation import SPLITS
from evomerge.recipe import Recipe, values_of, without_values
from evomerge.report import wording
from evomerge.report.archive.elites import OPTIMISTIC
from evomerge.report.facts import Facts
from evomerge.report.findings.family import Relative, family
from evomerge.report.members import BEATS, SAME, WORSE, Member
from evomerge.report.results import short_name
from evomerge.report.settings import settings

_SCRIPTS = ("core.js", "draw.js", "front.js", "heat.js", "family.js", "lines.js", "samples.js", "main.js")
_MOST_POINTS = 4000  # candidates drawn as points
_MOST_COEFFICIENTS = 100_000


def report_page(facts: Facts) -> str:
    """The page as one string of HTML."""
    script = "(() => {\n'use strict';\n" + "".join(asset(name) for name in _SCRIPTS) + "})();\n"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _template().render(
        facts=facts,
        settings=settings(facts),
        families=bool(family(facts.results, facts.members)),
        scales={o.label: _scale(facts, o.label) for o in facts.results.objectives},
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        style=Markup(asset("report.css")),
        script=Markup(script),
        data=Markup(json_block(_data(facts))),
    )


@functools.cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "duration": wording.duration,
        "count": wording.count,
        "short": short_name,
        "shortened": wording.shortened,
    }
    environment.globals |= {
        "score": wording.score,
        "bounds": wording.bounds,
        "gap": wording.gap,
        "drop": wording.drop,
        "unit_of_gaps": wording.unit_of_gaps,
        "number": wording.number,
        "estimate": wording.estimate,
        "strip": _strip,
        "gene_scale": _gene_scale,
        "tint": _tint,
        "OPTIMISTIC": OPTIMISTIC,
        "BEATS": BEATS,
        "WORSE": WORSE,
        "SAME": SAME,
        "SPLIT_WORDS": wording.SPLIT_WORDS,
    }
    return environment.from_string(asset("report.html.j2"))


def _tint(share: float) -> str:
    """Background and text of a cell between the worst, 0, and the best, 1, readable on light and dark pages."""
    light = 94.0 - 62.0 * share
    return f"background: hsl(202 70% {light:.0f}%); color: {'#fdfdfb' if light < 58.0 else '#1b1b1a'}"


def json_block(data: Any) -> str:
    """JSON that may stand inside a script element whatever its strings hold."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def asset(name: str) -> str:
    """The text of a file beside the code: a template, a style, a script."""
    return resources.files("evomerge.report").joinpath("assets", name).read_text(encoding="utf-8")


def _data(facts: Facts) -> dict[str, Any]:
    """Data of the figures."""
    labels = [o.label for o in facts.results.objectives]
    return {
        "objectives": [
            {"label": o.label, "unit": facts.unit[o.label], "higher": o.higher_is_better}
            for o in facts.results.objectives
        ],
        "members": [_member(member, labels) for member in facts.members],
        "baselines": [
            {
                "name": b.name,
                "short": b.short,
                "kind": b.kind,
                **{split: _scores(b.scores(split), labels) for split in SPLITS},
            }
            for b in facts.baselines
        ],
        "shown": facts.shown,
        "knee": facts.knee,
        "margin": facts.margin,
        "trace": _trace(facts),
        "coefficients": coefficients(facts),
        **({"family": _family(known)} if (known := family(facts.results, facts.members)) else {}),
        "samples": facts.samples,
        "export": facts.export_command("ID"),
    }


def _member(member: Member, labels: list[str]) -> dict[str, Any]:
    return {
        "id": member.id,
        **{split: _scores(member.scores(split), labels) for split in SPLITS},
        "versus": [
            [*_ends(c.interval), short_name(c.against), c.mark]
            if (c := member.versus_expert.get(label)) is not None
            else None
            for label in labels
        ],
        "free": [_free(member, label) for label in labels],
        "wins": any(member.beats_best_expert.values()),
        "knee": member.knee,
        "recommended": member.recommended,
        "holding": member.holding.verdict,
        "dominated": [short_name(name) for name in member.dominated_by],
    }


def _free(member: Member, label: str) -> list[Any] | None:
    """The difference to what costs no search: the tuned reference, else the uniform average; and its name."""
    found = member.versus_tuned.get(label) or member.versus_uniform.get(label)
    return [*_ends(found.interval), short_name(found.against)] if found is not None else None


def _scores(scores: Mapping[str, Interval], labels: list[str]) -> list[list[float | None]] | None:
    return [_ends(scores[label]) for label in labels] if scores else None


def _ends(interval: Interval) -> list[float | None]:
    return [_rounded(interval.mean), _rounded(interval.low), _rounded(interval.high)]


def _rounded(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _trace(facts: Facts) -> dict[str, Any]:
    """Course of the search; of very many candidates every k-th is drawn as a point, the lines stay exact."""
    followed = facts.trace
    step = max(1, math.ceil(len(followed.scores) / _MOST_POINTS))
    points = [
        [count, int(followed.feasible[count - 1]), *map(_rounded, scores)]
        for count, scores in enumerate(followed.scores, start=1)
        if scores is not None and (count - 1) % step == 0
    ]
    return {
        "total": len(followed.scores),
        "step": step,
        "points": points,
        "best": [[[count, _rounded(value)] for count, value in steps] for steps in followed.best],
        "hypervolume": [[count, _rounded(value)] for count, value in followed.hypervolume],
        "baselines": _rounded(followed.baselines),
    }


def coefficients(facts: Facts, most: int = _MOST_COEFFICIENTS) -> dict[str, Any] | None:
    """Coefficients of the members by group and model; members that differ in numbers alone share groups and models.

    Args:
        facts: The run's facts.
        most: Numbers that the page may hold; members beyond it, the last ones first, are left out.

    Returns:
        ``groups``, ``models``, ``names`` and ``values`` (member to one array per name), of those that are like the
        first; under ``others``, if there are any, the same of elites' merges and whatever is merged otherwise. None
        without members.
    """
    if not facts.members:
        return None
    sets: list[tuple[Recipe, dict[str, Any]]] = []
    for place, member in enumerate(facts.members):
        recipe = Recipe.from_json(member.recipe)
        values, alike = values_of(recipe), without_values(recipe)
        most -= sum(array.size for array in values.values())
        if place and most < 0:
            break
        own = next((found for like, found in sets if like == alike), None)
        if own is None:
            own = {**_columns(facts, recipe), "names": list(values), "values": {}}
            sets.append((alike, own))
        own["values"][member.id] = _arrays(values, own["names"])
    first, *others = (own for _, own in sets)
    return {**first, **({"others": others} if others else {})}


def _columns(facts: Facts, recipe: Recipe) -> dict[str, Any]:
    """Groups, and names of the models: those of the run where it merges these."""
    labels = [model.get("label") for model in facts.manifest.get("models") or ()]
    sources = [source.label for source in recipe.sources]
    merges = any(isinstance(source, Recipe) for source in recipe.sources)
    known = not merges and len(labels) == len(sources) and all(labels)
    return {"groups": recipe.groups.to_json()["groups"], "models": labels if known else sources}


def _family(relatives: Mapping[str, Relative]) -> dict[str, Any]:
    """Relatives as the figure of a family tree reads them."""
    return {
        key: {
            "name": one.name,
            "note": one.place,
            "under": "expert" if not one.depth else "" if one.batch is None else f"batch {one.batch}",
            "depth": one.depth,
            "lines": [f"{label} {_rounded(value)}" for label, value in one.scores.items()] + list(one.numbers),
            "parents": [
                [parent.key, *map(_or_none, (parent.share, parent.low, parent.high))] for parent in one.parents
            ],
        }
        for key, one in relatives.items()
    }


def _or_none(value: float | None) -> float | None:
    return None if value is None else _rounded(float(f"{value:.4g}"))


def _arrays(values: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    return [_nested(values[name].tolist()) for name in names]


def _nested(values: Any) -> Any:
    return [_nested(value) for value in values] if isinstance(values, list) else _rounded(float(f"{values:.4g}"))


def _scale(facts: Facts, label: str) -> tuple[float, float]:
    """The common axis of an objective's difference strips: all intervals, zero, and a margin."""
    found = [m.versus_expert[label].interval for m in facts.members if label in m.versus_expert]
    ends = [0.0, *(end for i in found for end in (i.low, i.mean, i.high) if math.isfinite(end))]
    margin = 0.04 * (max(ends) - min(ends)) or 1.0
    return min(ends) - margin, max(ends) + margin


def _gene_scale(rows: Sequence[tuple[str, str, Share]]) -> tuple[float, float]:
    """The common axis of the parts that genes have in a score, which begins at zero."""
    ends = [end for _, _, share in rows for end in (share.used.low, share.used.high) if math.isfinite(end)]
    return min(0.0, *ends), max(ends, default=0.0) or 1.0


def _strip(interval: Interval, scale: tuple[float, float], mark: str) -> Markup:
    """A difference drawn as a dot with its interval against a line at zero."""
    low, high = scale

    def at(value: float) -> str:
        clipped = min(max(value, low), high)
        return f"{100.0 * (clipped - low) / (high - low):.1f}"

    kind = {BEATS: "beats", WORSE: "worse"}.get(mark, "same")
    zero, left, right = at(0.0), at(interval.low), at(interval.high)
    return Markup(
        '<svg class="strip {}" viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true">'
        '<line class="zero" x1="{}" x2="{}" y1="0" y2="12"/><line class="bar" x1="{}" x2="{}" y1="6" y2="6"/>'
        '<line class="dot" x1="{}" x2="{}" y1="6" y2="6"/></svg>'
    ).format(kind, zero, zero, left, right, at(interval.mean), at(interval.mean))
