"""``evomerge explain``: what one tensor of a recipe's model is merged from, and where each value comes from."""

from __future__ import annotations

from evomerge.run.configs.verbs import ExplainConfig
from evomerge.run.explain import explain


def run(config: ExplainConfig) -> int:
    """Prints the explanation."""
    for line in explain(config):
        print(line)
    return 0
