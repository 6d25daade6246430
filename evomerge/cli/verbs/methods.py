"""``evomerge methods``: the merge methods, what they need, take and cost."""

from __future__ import annotations

from pathlib import Path

from evomerge.run.configs.verbs import MethodsConfig
from evomerge.run.description.method_table import as_json, details, markdown, overview
from evomerge.store import write_json
from evomerge.texts import printable


def run(config: MethodsConfig) -> int:
    """Prints one method or all, and writes what files are asked for."""
    for line in details(config.name) if config.name else overview():
        print(printable(line))
    if config.json:
        write_json(Path(config.json), as_json())
    if config.markdown:
        Path(config.markdown).write_text(markdown(), encoding="utf-8")
    return 0
