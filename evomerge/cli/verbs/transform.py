"""``evomerge transform``: further experts of experts, as ordinary model folders."""

from __future__ import annotations

import sys

from evomerge.run.configs.verbs import TransformConfig
from evomerge.run.transforming.transform import transform
from evomerge.texts import printable


def run(config: TransformConfig) -> int:
    """Makes the models and says where they are; none where there is nothing to gain."""
    found = transform(config, lambda text: print(printable(text), file=sys.stderr, flush=True))
    for one in found:
        for note in one.notes:
            print(printable(f"note: {note}"), file=sys.stderr)
        print(one.folder)
    if not found:
        print("nothing is gained, so nothing was written; use the models as they are")
    return 0
