"""``evomerge condense``: a mixture of experts becomes one with fewer of them."""

from __future__ import annotations

from evomerge.cli.said import say
from evomerge.run.configs.mixtures import CondenseConfig
from evomerge.run.structure.condense import condense


def run(config: CondenseConfig) -> int:
    """Makes the folder and says where it is."""
    print(condense(config, say))
    return 0
