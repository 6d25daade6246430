"""``evomerge fetch``: models, data sets and metrics of a search, brought onto this machine."""

from __future__ import annotations

import shlex

from evomerge.run.fetch import fetch
from evomerge.run.run_config import RunConfig

_MB = 1e6


def run(config: RunConfig) -> int:
    """Fetches what is not here yet, and says where everything is and how to search without a network."""
    found = fetch(config)
    for source, folder in found.models.items():
        print(f"model {source}: {folder}")
    for task, items in found.tasks.items():
        print(f"task {task}: {items} items in use")
    for repository, files in found.new.items():
        size = sum(file.stat().st_size for file in files)
        print(
            f"fetched {repository}: {len(files)} files, {size / _MB:.1f} MB, each with the hash that the hub announced"
        )
    if not found.new:
        print("nothing had to be fetched")
    words = [word for word in config.command[2:] if not word.startswith("offline=")]
    print(f"everything is here; without a network: evomerge search {shlex.join([*words, 'offline=true'])}")
    return 0
