"""From a recipe to a model folder, and for members of a front the proof that the folder is what was scored."""

from __future__ import annotations

import math
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from evomerge.candidate import load_model, load_tokenizer, resolve_device, suite_digest
from evomerge.checkpoints import Checkpoint, locate
from evomerge.errors import InputError
from evomerge.evaluation import Response
from evomerge.fitness import TaskSuite
from evomerge.merging import Sources, merge_to_folder
from evomerge.recipe import CheckpointRef, Recipe
from evomerge.run import locations as places
from evomerge.run.answers import recorded_answers
from evomerge.run.assemble import fitness_settings
from evomerge.run.card import Measured, inherited_licence, licence_of, measured, model_card, uncited
from evomerge.run.members import find_member
from evomerge.store import RunStore

# Largest difference in log-likelihood, in nats, between a candidate as it was scored and its export. It is zero where
# device, dtype and threads are those of the run; other machines add up in another order.
_TOLERANCES = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.05}


class ExportMismatch(RuntimeError):
    """The exported folder does not answer as the candidate did; it has been removed."""


@dataclass(frozen=True)
class Exported:
    """A finished export.

    Attributes:
        folder: The model folder.
        member: Digest prefix of the member.
        split: The split it was asked again.
        items: How many items.
        difference: Largest difference in log-likelihood, nats.
        tolerance: What was allowed.
        warnings: What a person has to decide before publishing.
    """

    folder: Path
    member: str
    split: str
    items: int
    difference: float
    tolerance: float
    warnings: tuple[str, ...]


def build(
    recipe: Recipe,
    out: str | Path,
    *,
    max_shard_size: str = "5GB",
    offline: bool = True,
    device: str = "cpu",
    scores: Measured | None = None,
) -> Path:
    """Builds one recipe's model folder with its card.

    Args:
        recipe: What to build.
        out: The folder to make.
        max_shard_size: Largest weight file.
        offline: Never ask the hub.
        device: Where tensors are merged.
        scores: What a search measured, for the card; None for a recipe that is only built.

    Raises:
        InputError: If checkpoints are missing, are not those the recipe names, or the folder cannot be made.
    """
    sources = open_sources(recipe, offline=offline)
    card = model_card(Path(out).name, recipe, _licences(recipe, sources), scores)
    return merge_to_folder(
        recipe, out, sources=sources, max_shard_size=max_shard_size, card=card, device=resolve_device(device)
    )


def export_member(
    run: str | Path,
    member: str,
    out: str | Path,
    *,
    max_shard_size: str = "5GB",
    offline: bool = True,
    trust_remote_code: bool = False,
) -> Exported:
    """Exports a member of a run's front, reloads it from disk and asks it the recorded items again.

    Args:
        run: The run's folder.
        member: An id or digest prefix, ``knee``, or ``best:TASK`` (by search score: picking by held-out score would
            make that score optimistic).
        out: The folder to make.
        max_shard_size: Largest weight file.
        offline: Never ask the hub.
        trust_remote_code: Run the model code that comes with the checkpoints, if the run did. The run's own word is
            not enough, since it may be someone else's run.

    Raises:
        InputError: If the member, its checkpoints, its answers or the tasks are not what they were.
        ExportMismatch: If the folder answers otherwise; nothing is left behind.
    """
    store = RunStore.read(run)
    digest = find_member(store, member)
    recorded = store.find(digest, "test") or store.find(digest, "search")
    if recorded is None or recorded.error is not None:
        raise InputError(f"member {member!r} has no recorded score to check an export against")
    _check_trust(store, trust_remote_code)
    answers = recorded_answers(store, recorded)
    out = Path(out).expanduser().absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"out: {out} exists and is not empty; name a new folder, or remove it first")
    recipe = Recipe.from_json(recorded.recipe)
    with _draft(out) as draft:
        build(recipe, draft, max_shard_size=max_shard_size, offline=offline, scores=_scores(store, digest))
        difference, tolerance = _compare(store, recorded.split, answers, draft)
    _, warnings = inherited_licence(_licences(recipe, open_sources(recipe, offline=offline, verify=False)))
    warnings += uncited(recipe)
    return Exported(out, digest[:12], recorded.split, recorded.items, difference, tolerance, tuple(warnings))


@contextmanager
def _draft(out: Path) -> Iterator[Path]:
    """Gives a folder of the same name to build in, which becomes ``out`` at the end or leaves no trace."""
    created = [parent for parent in out.parents if not parent.exists()]
    hidden = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        yield hidden / out.name
        if out.exists():
            out.rmdir()
        (hidden / out.name).rename(out)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        for parent in created:
            if parent.exists() and not any(parent.iterdir()):
                parent.rmdir()


def _check_trust(store: RunStore, allowed: bool) -> None:
    if _ran_remote_code(store) and not allowed:
        raise InputError(
            "trust_remote_code: this run used model code that comes with its checkpoints; checking the export runs "
            "that code again. Read it, then allow it with trust_remote_code=true"
        )


def _ran_remote_code(store: RunStore) -> bool:
    return bool(store.manifest["config"]["model"]["trust_remote_code"])


def open_sources(recipe: Recipe, *, offline: bool = True, verify: bool = True) -> Sources:
    """Opens a recipe's checkpoints and makes sure that they are the ones it means.

    Args:
        recipe: Whose checkpoints.
        offline: Never ask the hub.
        verify: Whether to read all weights and compare them with the recorded fingerprints.

    Raises:
        InputError: With everything that is wrong.
    """
    problems: list[str] = []
    opened: dict[CheckpointRef, Checkpoint] = {}
    for ref in dict.fromkeys([recipe.reference, *recipe.models]):
        try:
            checkpoint = Checkpoint.open(locate(places.resolve(ref.source), ref.revision, offline=offline))
        except InputError as error:
            problems += _relative(ref, offline) or error.problems
            continue
        if verify and ref.fingerprint is not None and checkpoint.fingerprint() != ref.fingerprint:
            problems.append(
                f"the weights in {ref.source} are not those the recipe was made with: they have changed since"
            )
        opened[ref] = checkpoint
    if problems:
        raise InputError(problems)
    return Sources(opened)


def _relative(ref: CheckpointRef, offline: bool) -> list[str]:
    """The problem of a model that is not there, where its place depends on the folder one stands in; else none."""
    place = Path(places.resolve(ref.source))
    if place.is_absolute() or ref.revision is not None or place.exists():
        return []
    where = "in this folder" if offline else "in this folder, and no such model on the hub"
    return [
        f"there is no {ref.source} {where}; it is relative to the folder that the run was started in: start there"
        + ("" if not offline or not places.is_hub_id(ref.source) else " (if it is a hub id, add offline=false)")
    ]


def _compare(store: RunStore, split: str, answers: Sequence[Response], folder: Path) -> tuple[float, float]:
    """Asks an exported folder the recorded items and compares; the largest difference, and what is allowed."""
    manifest = store.manifest
    model_settings = manifest["identity"]["model"]
    trust = _ran_remote_code(store)  # what the caller has allowed, see `_check_trust`
    tokenizer = load_tokenizer(folder, trust)
    config = Checkpoint.open(folder).config
    # Of runs that began before it was recorded, nothing was shared.
    prefixes = manifest["identity"]["fitness"].get("prefixes", "plain")
    settings = replace(fitness_settings(manifest["config"]), prefixes=prefixes)
    suite = TaskSuite.build(settings, tokenizer, config=config)
    if suite_digest(suite) != manifest["identity"]["items"]:
        raise InputError(
            "the run's tasks have changed since: the same settings give other items, so nothing can be compared"
        )
    model = load_model(
        folder,
        dtype=model_settings["dtype"],
        attention=model_settings["attention"],
        device=resolve_device("auto" if model_settings["device"] == "cuda" else model_settings["device"]),
        threads=int(model_settings["threads"]),
        trust_remote_code=trust,
    )
    _, responses = suite.score(model, split)
    difference = largest_difference(answers, responses)
    tolerance = _TOLERANCES[model_settings["dtype"]]
    if not difference <= tolerance:
        raise ExportMismatch(
            f"the exported model does not answer as the candidate did: log-likelihoods differ by up to "
            f"{difference:.3g}, {tolerance:.3g} is allowed; nothing was kept"
        )
    return difference, tolerance


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


def _licences(recipe: Recipe, sources: Sources) -> dict[str, str | None]:
    return {ref.label: licence_of(sources[ref].path) for ref in dict.fromkeys([recipe.reference, *recipe.models])}


def _scores(store: RunStore, digest: str) -> Measured:
    """Held-out scores of the member and of the baselines, with the items they were measured on."""
    member = store.find(digest, "test")
    if member is None or member.error is not None:
        return Measured()
    others = [e for e in store.evaluations("test") if e.name is not None and e.error is None]
    columns = {"this model": member} | {str(e.name): e for e in others}
    return measured({name: (e.metrics, recorded_answers(store, e)) for name, e in columns.items()})
