"""The proof of an export: the folder, reloaded from disk, answers the recorded items as the candidate did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evomerge.candidate import build_suite, load_model, load_tokenizer, place_of, quantise, resolve_device, suite_digest
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


@dataclass(frozen=True)
class Compared:
    """Answers of an exported folder beside those of the candidate.

    Attributes:
        difference: Largest difference in log-likelihood, nats.
        tolerance: What was allowed.
        rewritten: Number of items whose generated texts are others; 0 in float32.
    """

    difference: float
    tolerance: float
    rewritten: int = 0


def verify(store: RunStore, split: str, answers: Sequence[Response], folder: Path) -> Compared:
    """Asks an exported folder the recorded items and compares.

    In lower precision a generated text follows from the arrangement that it was computed in too, such as the answers
    of other candidates that it was verified with; whoever finds some rewritten has to compare weights.

    Raises:
        ExportMismatch: If it answers otherwise.
    """
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
    quantise(model, model_settings.get("quantise", "none"))
    responses = Scorer.of(model, suite).score(model, split)
    difference, rewritten = largest_difference(answers, responses)
    tolerance = _TOLERANCES[model_settings["dtype"]]
    exact = model_settings["dtype"] == "float32"
    if difference <= tolerance and not (rewritten and exact):
        return Compared(difference, tolerance, rewritten)
    texts = f"; {rewritten} generated texts are others" if rewritten else ""
    raise ExportMismatch(
        f"the exported model does not answer as the candidate did: log-likelihoods differ by up to "
        f"{difference:.3g}, {tolerance:.3g} is allowed{texts}; nothing was kept"
    )


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


def largest_difference(recorded: Sequence[Response], again: Sequence[Response]) -> tuple[float, int]:
    """Largest difference of log-likelihoods over items, nats, and the number of items with other generated texts.

    The difference is infinite where answers differ in kind.
    """
    by_item = {(response.task, response.item): response for response in again}
    largest, rewritten = 0.0, 0
    for old in recorded:
        new = by_item.get((old.task, old.item))
        if new is None or len(new.logprobs) != len(old.logprobs) or len(new.texts) != len(old.texts):
            return float("inf"), rewritten
        rewritten += new.texts != old.texts
        gaps = [0.0 if a == b else abs(a - b) for a, b in zip(old.logprobs, new.logprobs, strict=True)]
        if any(math.isnan(gap) for gap in gaps):
            return float("inf"), rewritten
        largest = max([largest, *gaps])
    return largest, rewritten


def ran_remote_code(store: RunStore) -> bool:
    """Whether a run used model code that comes with its checkpoints."""
    return bool(store.manifest["config"]["model"]["trust_remote_code"])
