"""Models before any search: whether they can be merged, and how alike their deltas are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from evomerge.analysis import Sums
from evomerge.checkpoints import CheckpointSource, TensorDeltas, compare_deltas
from evomerge.errors import InputError
from evomerge.merging import Checkpoints
from evomerge.recipe import DEFAULT_LAYER_PATTERN, ParameterGroups, UnknownTensorName, patterns_of
from evomerge.report.likeness import Compared, likeness_page
from evomerge.run.configs.verbs import CompareConfig
from evomerge.run.recipes.models import Folders, open_models, other_bases, with_adapters
from evomerge.run.run_config import RunConfig
from evomerge.store import write_text

_EVERY = 2.0  # seconds between two words on how far it is


def compare(config: CompareConfig, say: Callable[[str], None] = lambda _: None) -> Compared:
    """Compares models with their base: headers, configs and tokens first, then every weight once.

    Args:
        config: The models, the base, and the page to write.
        say: Told now and then how far it is, and how long it will take.

    Returns:
        What was found; the page is written.

    Raises:
        InputError: If a model cannot be found or read. Models that cannot be merged are a finding, not an error.
    """
    find = Folders(config.offline)
    models = with_adapters(RunConfig(models=config.models, base=config.base, offline=config.offline), find)
    if models.base is None:
        raise InputError("base: missing; deltas are taken from it: base=FOLDER")
    checkpoints = open_models(models, find, None)
    found = checkpoints.compare(trust_remote_code=False)
    base, experts = checkpoints[models.base], [checkpoints[ref] for ref in models.models]
    names, left_out = comparable(checkpoints, base, experts)
    total = sum(base.specs[name].numel for name in names)
    deltas = compare_deltas(base, experts, names, _watch(total, say))
    compared = Compared(
        base=models.base.label,
        models=_labels(ref.label for ref in models.models),
        problems=found.problems,
        warnings=(*found.warnings, *other_bases(checkpoints)),
        sums=_by_place(deltas, list(base.specs)),
        left_out=tuple(left_out),
    )
    write_text(Path(config.out), likeness_page(compared))
    return compared


def comparable(
    checkpoints: Checkpoints, base: CheckpointSource, experts: list[CheckpointSource]
) -> tuple[list[str], list[str]]:
    """Tensors that all have in one shape, and those that some lack or have otherwise."""
    names = set(checkpoints.merged_names)
    for expert in experts:
        names &= {
            name for name, spec in expert.specs.items() if name in base.specs and spec.shape == base.specs[name].shape
        }
    known = dict.fromkeys(name for source in (base, *experts) for name in source.specs if name not in source.aliases)
    return [name for name in base.specs if name in names], [name for name in known if name not in names]


def _by_place(deltas: Iterable[TensorDeltas], names: list[str]) -> dict[tuple[int | None, str], Sums]:
    """The sums of each layer and module kind, in the order of the files."""
    groups = ParameterGroups((), patterns_of(names), DEFAULT_LAYER_PATTERN)
    found: dict[tuple[int | None, str], list[Sums]] = {}
    for one in deltas:
        try:
            place = groups.place(one.name)
        except UnknownTensorName:
            key: tuple[int | None, str] = (None, "other")
        else:
            key = (place.layer, place.kind)
        found.setdefault(key, []).append(sums_of(one))
    return {place: Sums.over(parts) for place, parts in found.items()}


def sums_of(one: TensorDeltas) -> Sums:
    """Sums over the elements of one tensor, for analysis."""
    return Sums(one.numel, one.base, one.totals, one.products, one.changed, one.agreeing)


def _labels(names: Iterable[str]) -> tuple[str, ...]:
    """Short names, numbered where two are the same."""
    found = list(names)
    return tuple(
        f"{name} ({found[: i + 1].count(name)})" if found.count(name) > 1 else name for i, name in enumerate(found)
    )


def _watch(total: int, say: Callable[[str], None]) -> Callable[[int], None]:
    started = last = time.monotonic()

    def told(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _EVERY and done:
            left = (now - started) * (total - done) / done
            say(f"compared {done / total:.0%} of the weights, {left:.0f} s left")
            last = now

    return told
