"""Merging by the authors' own code and by ours, by turns on the same matrices in one process.

A turn is one layer: theirs merges the deltas of its linear maps, ours prepares and merges the same, then come ours of
later candidates. What reading and subtracting takes is left out of theirs and is in ours. Seconds are taken by the
clock and of the processor, all threads together, which other programs on the machine change less.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from evomerge.checkpoints import open_source
from evomerge.errors import InputError
from evomerge.merging import Checkpoints, Merger, PreparedSettings
from evomerge.recipe import Recipe
from experiments.merge_speed.authors import REPOSITORIES, Checkout
from experiments.merge_speed.officials import OFFICIALS, Again, Deltas, Official, Start
from experiments.merge_speed.recipes import KINDS, layer_recipe, nudged

# More than the arrays of one layer, so that none of it is on disk, where an old file's pages may be slow.
_ROOM = 1 << 36
Seconds = tuple[float, float]
"""By the clock, and of the processor."""


def beside_authors(
    word: str, authors: Path, folders: Sequence[Path], layers: Sequence[int], repeats: int, kinds: Sequence[str] = KINDS
) -> dict[str, Any]:
    """Times one method beside its authors' code.

    Args:
        word: A key of :data:`~experiments.merge_speed.officials.OFFICIALS`.
        authors: The folder of the checkouts.
        folders: The base and the experts.
        layers: Indices of the layers, a turn each.
        repeats: Number of later candidates in each turn, of which the median counts.
        kinds: Module kinds whose linear maps are merged.

    Returns:
        For each turn seconds by the clock and of the processor, by whose they are and what of, and how far the two
        results are apart at most, over the largest element of the update.

    Raises:
        InputError: If the method is none of them, or the checkout is not there or of another commit.
    """
    if word not in OFFICIALS:
        raise InputError(f"{word!r} is not compared with its authors' code; methods: {', '.join(OFFICIALS)}")
    official = OFFICIALS[word]
    start = official.load(Checkout(official.repository, authors / official.repository))
    recipes = [layer_recipe(word, folders, layer, official.values, kinds) for layer in layers]
    turns = [_turn(official, start, folders, recipe, repeats) for recipe in recipes]
    repository = REPOSITORIES[official.repository]
    return {
        "repository": f"{repository.owner}/{official.repository}",
        "commit": repository.commit,
        **{name: [turn[name] for turn in turns] for name in turns[0]},
    }


def _turn(official: Official, start: Start, folders: Sequence[Path], recipe: Recipe, repeats: int) -> dict[str, Any]:
    checkpoints = Checkpoints.open(recipe)
    merger = Merger(checkpoints, prepared=PreparedSettings(None, memory=_ROOM))
    names = list(merger.outputs(recipe).merged)
    base = {name: checkpoints.reference.tensor(name).float() for name in names}
    experts = [open_source(folder) for folder in folders[1:]]
    deltas = [{name: expert.tensor(name).float() - base[name] for name in names} for expert in experts]
    theirs, update = _theirs(official, start, deltas)
    merged: Deltas = {}
    first = _seconds(lambda: merged.update(merger.stream(recipe, names=names)))
    memory = {name: torch.empty_like(values) for name, values in base.items()}

    def candidate(step: int) -> None:
        for _ in merger.stream(nudged(recipe, step), names=names, memory=lambda name, spec: memory[name]):
            pass

    candidate(repeats + 1)
    each = [_seconds(partial(candidate, step)) for step in range(1, repeats + 1)]
    later = tuple(median(kind) for kind in zip(*each, strict=True))
    largest = max(float(own.abs().max()) for own in update.values())
    apart = max(float((merged[name] - base[name] - update[name]).abs().max()) for name in names)
    return {**theirs, "ours": first, "ours_later": later, "apart": apart / largest}


def _theirs(official: Official, start: Start, deltas: Sequence[Deltas]) -> tuple[dict[str, Seconds], Deltas]:
    """Seconds of a merge, and of a second one where their code prepared something for it; and the update."""
    kept: list[Again] = []
    updates: list[Deltas] = []
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        prepared = _seconds(lambda: kept.append(start(deltas)))
        merged = _seconds(lambda: updates.append(kept[0]()))
        seconds = prepared[0] + merged[0], prepared[1] + merged[1]
        later = _seconds(kept[0]) if official.keeps else seconds
    return {"theirs": seconds, "theirs_later": later}, updates[0]


def _seconds(work: Callable[[], Any]) -> Seconds:
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def authors_page(found: dict[str, Any]) -> str:
    """What was measured, as Markdown."""
    lines = [
        f"# Beside the authors' own code, {found['models']}",
        "",
        f"Measured {found['date']} on {found['machine']}, {found['threads']} threads; torch "
        f"{found['versions']['torch']}.",
        f"Three experts, the linear maps of {found['layers']} layers{_alone(found)}. Each layer is a turn: theirs "
        "merges its deltas, then ours the same. *First* is ours with reading, deltas and all preparation; *later* any "
        "candidate after it, with other coefficients (median of each turn). Ratios are theirs over ours, of all turns "
        "together (of the lowest and the highest turn). What theirs do at every merge is in the second table. Ours "
        "decompose on one thread, so that no result depends on the number of threads, and keep what is prepared as "
        "float16 where that is the default; CPU ratios are of the processor's seconds on all threads, which other "
        "programs change less; *apart* is how far the results are at most, over the largest element of theirs.",
        "",
        "| method | theirs, s | theirs again, s | ours first, s | ratio | CPU ratio "
        "| ours later, s | ratio | CPU ratio | apart |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for word, own in found["methods"].items():
        clock = {name: sum(turn[0] for turn in own[name]) for name in ("theirs", "theirs_later", "ours", "ours_later")}
        first, later = (own["theirs"], own["ours"]), (own["theirs_later"], own["ours_later"])
        lines.append(
            f"| `{word}` | {clock['theirs']:.3g} | {clock['theirs_later']:.3g} "
            f"| {clock['ours']:.3g} | {_ratio(*first, 0)} | {_ratio(*first, 1)} "
            f"| {clock['ours_later']:.3g} | {_ratio(*later, 0)} | {_ratio(*later, 1)} | {max(own['apart']):.1e} |"
        )
    lines += ["", "| method | their code | of each merge |", "|---|---|---|"]
    for word, own in found["methods"].items():
        official = OFFICIALS[word]
        lines.append(
            f"| `{word}` | {own['repository']} at {own['commit'][:7]}: {official.function} | {official.does} |"
        )
    return "\n".join(lines) + "\n"


def _alone(found: dict[str, Any]) -> str:
    kinds = found.get("kinds", list(KINDS))
    return "" if len(kinds) == len(KINDS) else f" (those of the {' and '.join(kinds)} alone)"


def _ratio(theirs: Sequence[Seconds], ours: Sequence[Seconds], kind: int) -> str:
    above, below = [one[kind] for one in theirs], [one[kind] for one in ours]
    each = [one / other for one, other in zip(above, below, strict=True)]
    return f"{sum(above) / sum(below):.3g} ({min(each):.3g} to {max(each):.3g})"
