"""``evomerge condense``: a mixture of experts becomes one with fewer of them."""

from __future__ import annotations

from evomerge.cli.said import say
from evomerge.run.configs.mixtures import CondenseConfig
from evomerge.run.structure.condense import condense, foretell


def run(config: CondenseConfig) -> int:
    """Makes the folder and says where it is."""
    print(condense(config, say))
    return 0


def check(config: CondenseConfig) -> int:
    """Says what it takes, and does nothing."""
    print("\n".join(foretell(config)))
    return 0
