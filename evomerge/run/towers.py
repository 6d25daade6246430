"""The note on a vision or audio tower that a search leaves alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from evomerge.checkpoints import CheckpointSource
from evomerge.genome import GenomeSpec
from evomerge.merging import Checkpoints
from evomerge.recipe import CheckpointRef
from evomerge.run.run_config import RunConfig

_SMALL = 1 << 16  # bytes of a tensor that is read to see whether an expert has a tower of its own


def tower_notes(config: RunConfig, checkpoints: Checkpoints, spec: GenomeSpec) -> Iterator[str]:
    """Says that towers stay the reference's, where that is the default, and which models have others.

    Args:
        config: The search.
        checkpoints: Its opened checkpoints.
        spec: Its space.
    """
    groups = spec.template.groups
    if "tower" in config.genome.frozen or not any(group.label == "tower" and group.frozen for group in groups.groups):
        return
    names = [name for name in checkpoints.merged_names if groups.place(name).kind == "tower"]
    own = ",".join((*config.genome.own_groups, "tower"))
    text = (
        f"the vision or audio tower and its projector ({len(names)} tensors) stay the reference's; "
        f"genome.own_groups=[{own}] gives them genes of their own"
    )
    models = [ref for ref in spec.template.sources if isinstance(ref, CheckpointRef)]
    unlike = [ref.label for ref in models if _differs(checkpoints.reference, checkpoints[ref], names)]
    yield text + (f". {' and '.join(unlike)} have other values there, which are not used" if unlike else "")


def _differs(reference: CheckpointSource, other: CheckpointSource, names: Sequence[str]) -> bool:
    """Whether small tensors of two towers differ, as those of a tower that was trained do."""
    both = [(reference.specs[name], other.specs.get(name), name) for name in names]
    return any(
        spec.nbytes <= _SMALL and (spec.dtype, spec.shape) == (found.dtype, found.shape)
        and not torch.equal(reference.tensor(name), other.tensor(name))
        for spec, found, name in both
        if found is not None
    )  # fmt: skip
