"""The evaluations of a run's baselines, by name.

A record is kept once per recipe and split. Experts of equal weights, or an expert equal to the base, are one recipe, so
one record stands for several baselines and holds the name of the first. The manifest tells the others.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from typing import Any

from evomerge.evaluation import BASE, EXPERT, Evaluation, expert_names
from evomerge.recipe import AdapterRef, CheckpointRef, ModelRef
from evomerge.store.run import RunStore


def baselines(store: RunStore, split: str) -> dict[str, Evaluation]:
    """Baseline name to its evaluation on a split: the base, the experts in the order of the models, the others.

    Args:
        store: The run.
        split: Whose items were asked.
    """
    found = {e.name: e for e in store.evaluations(split) if e.name is not None}
    checkpoints = _checkpoints(store.manifest)
    shared = {content: found[name] for name, content in checkpoints.items() if name in found}
    found |= {name: shared[content] for name, content in checkpoints.items() if name not in found and content in shared}
    places = {name: place for place, name in enumerate(checkpoints)}
    order = sorted(found, key=lambda name: (name != BASE, not name.startswith(EXPERT), places.get(name, len(places))))
    return {name: found[name] for name in order}


def _checkpoints(manifest: Mapping[str, Any]) -> dict[str, Hashable]:
    """Baseline name to what recipes know its checkpoint by, of the base and the experts."""
    models = [_ref(model) for model in manifest.get("models") or ()]
    refs = {BASE: _ref(manifest["base"])} if manifest.get("base") else {}
    refs |= zip(expert_names([model.label for model in models]), models, strict=True)
    return {name: json.dumps(ref.identity(), sort_keys=True) for name, ref in refs.items() if ref.source}


def _ref(model: Mapping[str, Any]) -> ModelRef:
    source, revision, fingerprint = str(model.get("source") or ""), model.get("revision"), model.get("fingerprint")
    on = model.get("on")
    if isinstance(on, Mapping):
        known = CheckpointRef(str(on.get("source") or ""), on.get("revision"), on.get("fingerprint"))
        return AdapterRef(source, known, revision, fingerprint)
    return CheckpointRef(source, revision, fingerprint)
