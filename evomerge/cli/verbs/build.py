"""``evomerge build``: dense models become a mixture of experts."""

from __future__ import annotations

from evomerge.cli.said import say
from evomerge.run.configs.mixtures import BuildConfig
from evomerge.run.structure.build import build_mixture, foretell


def run(config: BuildConfig) -> int:
    """Makes the folder and says where it is."""
    print(build_mixture(config, say))
    return 0


def check(config: BuildConfig) -> int:
    """Says what it takes, and does nothing."""
    print("\n".join(foretell(config)))
    return 0
