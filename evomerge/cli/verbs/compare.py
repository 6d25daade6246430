"""``evomerge compare``: whether models can be merged, and how alike their deltas are, as a page."""

from __future__ import annotations

import sys

from evomerge.report.likeness import as_text
from evomerge.run.configs.verbs import CompareConfig
from evomerge.run.likeness import compare


def run(config: CompareConfig) -> int:
    """Writes the page and prints the same in short."""
    found = compare(config, lambda text: print(text, file=sys.stderr, flush=True))
    for line in as_text(found):
        print(line)
    print(config.out)
    return 0
