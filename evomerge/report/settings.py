"""Settings of a run, as a reader needs them to judge and to repeat it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from evomerge.report.facts import Facts
from evomerge.report.results import model_label
from evomerge.report.wording import count

# Why a search ended, as its status says it.
_REASONS = {
    "evaluations": "the budget of evaluations was used up",
    "items": "the budget of items was used up",
    "seconds": "the budget of seconds was used up",
    "patience": "no improvement within the patience",
    "exhausted": "nothing new was proposed",
    "stopped": "stopped by hand; the same command goes on",
    "interrupted": "interrupted; the same command goes on",
    "failures": "too many failures in a row; the same command tries on",
}

_MODES = {"asynchronous": "asynchronous: a candidate for each worker that is free, in a recorded order"}


def settings(facts: Facts) -> dict[str, Any]:
    """The manifest, sorted for people.

    Returns:
        ``models`` (rows of label, source, revision, licence, fingerprint), ``tasks`` (rows of task and its numbers of
        items) and ``rows`` (pairs of a name and a text).
    """
    manifest = facts.manifest
    models = [*([manifest["base"]] if manifest.get("base") else ()), *(manifest.get("models") or ())]
    return {
        "models": [_model(model, base=bool(manifest.get("base")) and i == 0) for i, model in enumerate(models)],
        "tasks": [_task(manifest, task) for task in manifest.get("tasks") or ()],
        "rows": [(name, text) for name, text in _rows(facts) if text],
    }


def _model(model: Mapping[str, Any], base: bool) -> dict[str, str]:
    on = model.get("on")
    return {
        "role": "base" if base else "expert",
        "label": model_label(model),
        "source": _source(model) + (f", a LoRA adapter on {_source(on)}" if isinstance(on, Mapping) else ""),
        "revision": str(model.get("revision") or ""),
        "license": str(model.get("license") or "not stated"),
        "fingerprint": str(model.get("fingerprint") or "")[:12],
    }


def _source(model: Mapping[str, Any]) -> str:
    return str(model.get("hub_id") or model.get("source") or "")


def _task(manifest: Mapping[str, Any], task: str) -> dict[str, Any]:
    counts = {split: len(ids.get(task, ())) for split, ids in (manifest.get("items") or {}).items()}
    return {"task": task, **{split: counts.get(split, 0) for split in ("search", "selection", "test")}}


def _rows(facts: Facts) -> list[tuple[str, str]]:
    manifest = facts.manifest
    method = manifest.get("method") or {}
    genome = manifest.get("genome") or {}
    config = manifest.get("config") or {}
    status = facts.results.store.read_json("status.json") or {}
    return [
        ("Method", _joined(method.get("name"), _pairs(method.get("options")), method.get("paper"))),
        ("Steps after the merge", "; ".join(_step(step) for step in manifest.get("post") or ())),
        ("Recipe", str(config.get("recipe") or "")),
        ("Genome", _genome(genome, config)),
        ("Rounds", _rounds(manifest)),
        ("Searcher", _named(config.get("searcher"))),
        ("Mode", _MODES.get(str(config.get("mode")), "")),
        ("Objectives", "; ".join(_objective(o) for o in manifest.get("objectives") or ())),
        ("Constraints", "; ".join(str(c.get("label")) for c in manifest.get("constraints") or ())),
        ("Budgets", _pairs(manifest.get("budgets"))),
        ("Ended", _end(status)),
        ("Seeds", _pairs(manifest.get("seeds")) if isinstance(manifest.get("seeds"), Mapping) else ""),
        ("Device", _joined(_device(manifest.get("device")), _threads(manifest.get("threads")))),
        ("Versions", _joined(manifest.get("created_by"), _pairs(manifest.get("versions")))),
    ]


def _step(step: Mapping[str, Any]) -> str:
    return _joined(step.get("name"), _pairs(step.get("options")), step.get("paper"))


def _genome(genome: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    genes = f"{genome['n_var']} genes" if "n_var" in genome else ""
    return _joined(genes, _pairs(_chosen(genome, config)), genome.get("chosen"))


def _chosen(genome: Mapping[str, Any], config: Mapping[str, Any]) -> Any:
    """The settings of a genome; of one that a recipe gives, those that are not the recipe's."""
    settings = genome.get("settings")
    if not isinstance(settings, Mapping) or not config.get("recipe"):
        return settings
    return {key: value for key, value in settings.items() if key in ("bounds", "searched")}


def _rounds(manifest: Mapping[str, Any]) -> str:
    """The rounds of a search as its identity has them; empty of one."""
    own = (manifest.get("identity") or {}).get("rounds")
    if not isinstance(own, Mapping):
        return ""
    experts = " and the experts" if own.get("experts") else ""
    last = "; the last adds low-rank noise to the best merge" if own.get("last") == "noise" else ""
    return (
        f"{own.get('count')}, of {own.get('evaluations')} candidates each but the last; later ones merge at most "
        f"{own.get('elites')} elites{experts}{last}"
    )


def _end(status: Mapping[str, Any]) -> str:
    reason = str(status.get("reason") or "")
    return _REASONS.get(reason, reason) or f"not yet, in the phase {status['phase']!r}" if status.get("phase") else ""


def _device(device: Any) -> str:
    return _joined(*device.values()) if isinstance(device, Mapping) else str(device or "")


def _threads(threads: Any) -> str:
    return f"{count(int(threads), 'thread')} per worker" if isinstance(threads, int) else ""


def _objective(objective: Mapping[str, Any]) -> str:
    direction = "higher" if objective.get("higher_is_better", True) else "lower"
    return f"{objective.get('label')} ({direction} is better)"


def _named(value: Any) -> str:
    if isinstance(value, Mapping):
        return _joined(str(value.get("name") or ""), _pairs({k: v for k, v in value.items() if k != "name"}))
    return "" if value is None else str(value)


def _pairs(values: Any) -> str:
    if not isinstance(values, Mapping):
        return ""
    return ", ".join(f"{key} {_text(value)}" for key, value in values.items() if value not in (None, "", [], {}))


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_pairs(value)})"
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _joined(*parts: Any) -> str:
    return " · ".join(str(part) for part in parts if part)
