"""The proof of an export: the folder, reloaded from disk, answers the recorded items as the candidate did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evomerge.candidate import build_suite, load_model, load_tokenizer, place_of, resolve_device, suite_digest
from evomerge.checkpoints import open_source
from evomerge.errors import InputError
from evomerge.evaluation import Response
from evomerge.fitness import Scorer
from evomerge.merging import LiveModel, Merger
from evomerge.recipe import Recipe
from evomerge.run.run_config import recorded_fitness
from evomerge.store import RunStore

# Largest difference in log-likelihood, in nats, between a candidate as it was scored and its export. It is zero where
# device, dtype and threads are those of the run; other machines add up in another order.
_TOLERANCES = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.05}


class ExportMismatch(RuntimeError):
    """The exported folder does not answer as the candidate did; it has been removed."""


def verify(store: RunStore, split: str, answers: Sequence[Response], folder: Path) -> tuple[float, float]:
    """Asks an exported folder the recorded items and compares; the largest difference, and what is allowed."""
    manifest = store.manifest
    model_settings = manifest["identity"]["model"]
    tokenizer = load_tokenizer(folder, ran_remote_code(store))
    source = open_source(folder)
    # Of runs that began before it was recorded, nothing was shared, and no draft verified.
    began = manifest["identity"]["fitness"]
    prefixes, drafts = began.get("prefixes", "plain"), began.get("drafts", "off")
    settings = replace(recorded_fitness(manifest["config"]), prefixes=prefixes, drafts=drafts)
    suite = build_suite(settings, source, tokenizer)
    if suite_digest(suite) != manifest["identity"]["items"]:
        raise InputError(
            "the run's tasks have changed since: the same settings give other items, so nothing can be compared"
        )
    model = load_model(folder, threads=int(model_settings["threads"]), **_as_scored(store))
    responses = Scorer.of(model, suite).score(model, split)
    difference = largest_difference(answers, responses)
    tolerance = _TOLERANCES[model_settings["dtype"]]
    if not difference <= tolerance:
        raise ExportMismatch(
            f"the exported model does not answer as the candidate did: log-likelihoods differ by up to "
            f"{difference:.3g}, {tolerance:.3g} is allowed; nothing was kept"
        )
    return difference, tolerance


def verify_weights(store: RunStore, merger: Merger, recipe: Recipe, folder: Path) -> None:
    """Compares the weights of an exported folder, as transformers loads it, with those of the candidate.

    Args:
        store: The run.
        merger: Of the recipe's checkpoints.
        recipe: The candidate, which is installed as a worker installs it.
        folder: The folder.

    Raises:
        ExportMismatch: If any differ.
    """
    options = {**_as_scored(store), "causal": False}
    live = LiveModel.load(merger.checkpoints.reference.path, **options)
    if not live.fits(plan := merger.plan(recipe)):
        live = live.rebuilt(plan)
    live.install(merger, recipe)
    candidate = live.checksum()
    del live  # one model at a time
    if LiveModel.load(folder, **options).checksum() != candidate:
        raise ExportMismatch("the exported model has other weights than the candidate had; nothing was kept")


def _as_scored(store: RunStore) -> dict[str, Any]:
    """How the run's workers loaded their model; code of its own is what the caller has allowed, see `export`."""
    model = store.manifest["identity"]["model"]
    home = resolve_device("auto" if model["device"] == "cuda" else model["device"])
    written = store.manifest["config"].get("model", {})
    device = place_of(home, *(tuple(written.get(name, ())) for name in ("device_map", "max_memory")))
    kept = {name: model[name] for name in ("dtype", "attention")}
    return {**kept, "device": device, "trust_remote_code": ran_remote_code(store)}


def largest_difference(recorded: Sequence[Response], again: Sequence[Response]) -> float:
    """Largest difference of log-likelihoods over items, nats; infinite where answers differ in kind or text."""
    by_item = {(response.task, response.item): response for response in again}
    largest = 0.0
    for old in recorded:
        new = by_item.get((old.task, old.item))
        if new is None or len(new.logprobs) != len(old.logprobs) or new.texts != old.texts:
            return float("inf")
        gaps = [0.0 if a == b else abs(a - b) for a, b in zip(old.logprobs, new.logprobs, strict=True)]
        if any(math.isnan(gap) for gap in gaps):
            return float("inf")
        largest = max([largest, *gaps])
    return largest


def ran_remote_code(store: RunStore) -> bool:
    """Whether a run used model code that comes with its checkpoints."""
    return bool(store.manifest["config"]["model"]["trust_remote_code"])
