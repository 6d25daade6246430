"""``evomerge transform``: further experts of experts, as ordinary model folders."""

from __future__ import annotations

from evomerge.cli.said import say
from evomerge.run.configs.verbs import TransformConfig
from evomerge.run.transforming.transform import foretell, transform


def run(config: TransformConfig) -> int:
    """Makes the models and says where they are; none where there is nothing to gain."""
    found = transform(config, say)
    for one in found:
        for note in one.notes:
            say(f"note: {note}")
        print(one.folder)
    if not found:
        print("nothing is gained, so nothing was written; use the models as they are")
    return 0


def check(config: TransformConfig) -> int:
    """Says what it takes, and does nothing."""
    print("\n".join(foretell(config)))
    return 0
