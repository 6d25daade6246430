"""From a recipe to a model folder, and for members of a front the proof that the folder is what was scored."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evomerge.candidate import resolve_device
from evomerge.checkpoints import CheckpointSource, appearing, find_nonfinite, folder_of, locate, open_all
from evomerge.errors import InputError
from evomerge.merging import Checkpoints, Merger, NonFinite, matching_of, merge_to_folder
from evomerge.recipe import ModelRef, Recipe
from evomerge.run import paths
from evomerge.run.members import find_member, recorded_answers
from evomerge.run.model_folder.card import Measured, inherited_licence, licence_of, measured, model_card, uncited
from evomerge.run.model_folder.verification import Compared, ran_remote_code, verify, verify_weights
from evomerge.run.recipe_files.writing import as_mergekit
from evomerge.run.statistics.folders import folders_with
from evomerge.settings import parse_size
from evomerge.store import RunStore, baselines, clusters_of, described_items


@dataclass(frozen=True)
class Exported:
    """A finished export.

    Attributes:
        folder: The model folder.
        member: Digest prefix of the member.
        split: The split it was asked again.
        items: How many items; 0 in a run without tasks, where weights were compared, to the last bit.
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
    max_shard_size: str | int = "5GB",
    offline: bool = True,
    device: str = "cpu",
    statistics: str | None = None,
) -> Path:
    """Builds one recipe's model folder with its card.

    Args:
        recipe: What to build.
        out: The folder to make.
        max_shard_size: Largest weight file, such as ``5GB``, or in bytes.
        offline: Never ask the hub.
        device: Where tensors are merged.
        statistics: The folder of collected statistics, of which the recipe may read some; None is the user's cache.

    Raises:
        InputError: If checkpoints or statistics are missing, are not those the recipe names, or the folder cannot be
            made.
    """
    out = _new_folder(out)
    device = resolve_device(device, "device")
    shard_bytes = parse_size(max_shard_size)
    known = folders_with(recipe, [statistics])
    merger = Merger(open_sources(recipe, offline=offline), device=device, statistics=known)
    return _build(recipe, out, merger, shard_bytes, None)


def _build(recipe: Recipe, out: Path, merger: Merger, shard_bytes: int, scores: Measured | None) -> Path:
    """Builds a model folder, whose card says what a search measured; None for a recipe that is only built."""
    checkpoints = merger.checkpoints
    try:
        account = merger.account(recipe)
    except InputError:  # which the merge itself tells, with all others
        account = ()
    texts = {"README.md": model_card(out.name, recipe, _licences(recipe, checkpoints), scores, account)}
    with contextlib.suppress(InputError):  # mergekit has no words for it
        texts["mergekit_config.yml"] = as_mergekit(recipe, checkpoints)
    try:
        return merge_to_folder(recipe, out, merger=merger, max_shard_size=shard_bytes, texts=texts)
    except NonFinite as error:
        raise InputError(_why_nonfinite(checkpoints, error)) from error


def notes(recipe: Recipe, *, offline: bool = True) -> tuple[str, ...]:
    """Warnings about a merge: differences between the checkpoints, tensors without a match.

    Args:
        recipe: What to build.
        offline: Never ask the hub.

    Raises:
        InputError: If checkpoints are missing or cannot be read.
    """
    checkpoints = open_sources(recipe, offline=offline, verify=False)
    return checkpoints.compare(
        same_depth=not recipe.has_layers, unmatched=recipe.unmatched, matching=matching_of(recipe)
    ).warnings


def export_member(
    run: str | Path,
    member: str | Mapping[str, Any],
    out: str | Path,
    *,
    max_shard_size: str | int = "5GB",
    offline: bool = True,
    trust_remote_code: bool = False,
) -> Exported:
    """Exports a member of a run's front, reloads it from disk and asks it the recorded items again.

    Of a run without items its weights are compared instead. Functions are not called: they are code, and the run may
    be someone else's.

    Args:
        run: The run's folder.
        member: An id or digest prefix, ``knee``, ``best:TASK``, a preference or the elite of a cell, see
            :func:`~evomerge.run.members.find_member` (never by held-out score: that would make it optimistic).
        out: The folder to make.
        max_shard_size: Largest weight file, such as ``5GB``, or in bytes.
        offline: Never ask the hub.
        trust_remote_code: Run the model code that comes with the checkpoints, if the run did. The run's own word is
            not enough, since it may be someone else's run.

    Raises:
        InputError: If the member, its checkpoints, its answers or the tasks are not what they were.
        ExportMismatch: If the folder answers otherwise; nothing is left behind.
    """
    out = _new_folder(out)
    shard_bytes = parse_size(max_shard_size)
    store = RunStore.read(paths.expanded(str(run)))
    digest = find_member(store, member)
    recorded = store.lookup(digest, "test") or store.lookup(digest, "search")
    if recorded is None or recorded.error is not None:
        raise InputError(f"member {member!r} has no recorded score to check an export against")
    _check_trust(store, trust_remote_code)
    answers = recorded_answers(store, recorded) if recorded.items else []
    recipe = Recipe.from_json(recorded.recipe)
    # Asked before anything is built, so that what is not there is told at once.
    checkpoints = open_sources(recipe, offline=offline, verify=False)
    known = folders_with(recipe, [store.manifest["config"].get("statistics", {}).get("folder"), None])
    _, warnings = inherited_licence(_licences(recipe, checkpoints))
    warnings += uncited(recipe)
    with appearing(out, made=False) as draft:
        merger = Merger(open_sources(recipe, offline=offline), statistics=known)
        _build(recipe, draft, merger, shard_bytes, _scores(store, digest))
        compared = verify(store, recorded.split, answers, draft) if answers else Compared(0.0, 0.0)
        if compared.rewritten or not answers:
            verify_weights(store, merger, recipe, draft)
    if compared.rewritten:
        warnings.append(
            f"{compared.rewritten} of {recorded.items} items got other generated texts, as rounding makes of other "
            "arrangements; the exported weights are the candidate's, bit for bit",
        )
    found = compared.difference, compared.tolerance
    return Exported(out, digest[:12], recorded.split, recorded.items, *found, tuple(warnings))


def _why_nonfinite(checkpoints: Checkpoints, error: NonFinite) -> list[str]:
    """The weights that are no numbers; where all are, the recipe makes too large ones of them."""
    problems = [problem for source in checkpoints.by_ref.values() for problem in find_nonfinite(source)]
    return problems or [f"{error}, though all weights are numbers: the recipe's coefficients are too large for them"]


def _new_folder(out: str | Path) -> Path:
    """The folder to make.

    Raises:
        InputError: If it cannot be made.
    """
    place = paths.expanded(str(out))
    if problem := paths.new_folder_problem(place):
        raise InputError(f"out: {problem}")
    return place.absolute()


def _check_trust(store: RunStore, allowed: bool) -> None:
    if ran_remote_code(store) and not allowed:
        raise InputError(
            "trust_remote_code: this run used model code that comes with its checkpoints; checking the export runs "
            "that code again. Read it, then allow it with trust_remote_code=true"
        )


def open_sources(recipe: Recipe, *, offline: bool = True, verify: bool = True) -> Checkpoints:
    """Opens a recipe's checkpoints and adapters and makes sure that they are the ones it means.

    Args:
        recipe: Whose checkpoints.
        offline: Never ask the hub.
        verify: Whether to read all weights and compare them with the recorded fingerprints.

    Raises:
        InputError: With everything that is wrong.
    """
    return Checkpoints(open_references(recipe.references, offline=offline, verify=verify))


def open_references(
    references: Iterable[ModelRef], *, offline: bool = True, verify: bool = True
) -> dict[ModelRef, CheckpointSource]:
    """Opens checkpoints and adapters as :func:`open_sources` does, by reference."""

    def find(ref: ModelRef) -> Path:
        try:
            return locate(paths.resolve(ref.source), ref.revision, offline=offline)
        except InputError as error:
            raise InputError(_relative(ref, offline) or error.problems) from error

    return open_all(references, find, verify=verify)


def _relative(ref: ModelRef, offline: bool) -> list[str]:
    """The problem of a model that is not there, where its place depends on the folder one stands in; else none."""
    place = Path(paths.resolve(ref.source))
    if place.is_absolute() or ref.revision is not None or not _absent(place):
        return []
    where = "in this folder" if offline else "in this folder, and no such model on the hub"
    return [
        f"there is no {ref.source} {where}; it is relative to the folder that the run was started in: start there"
        + ("" if not offline or not paths.is_hub_id(ref.source) else " (if it is a hub id, add offline=false)")
    ]


def _absent(place: Path) -> bool:
    """Whether nothing is there; False where it cannot be looked for, such as a name that is too long."""
    try:
        place.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def _licences(recipe: Recipe, checkpoints: Checkpoints) -> dict[str, str | None]:
    return {ref.label: licence_of(folder_of(checkpoints[ref])) for ref in recipe.references}


def _scores(store: RunStore, digest: str) -> Measured:
    """Held-out scores of the member and of the baselines, with the items they were measured on."""
    member = store.lookup(digest, "test")
    if member is None or member.error is not None:
        return Measured()
    others = {name: e for name, e in baselines(store, "test").items() if e.error is None}
    columns = {"this model": member} | others
    answered = {name: (e.metrics, recorded_answers(store, e)) for name, e in columns.items()}
    found = measured(answered, clusters_of(described_items(store)))
    return replace(found, quantised=store.manifest["identity"].get("model", {}).get("quantise", ""))
