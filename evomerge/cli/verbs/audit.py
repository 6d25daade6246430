"""``evomerge audit``: whether one model really beats another, from their answers item by item."""

from __future__ import annotations

from pathlib import Path

from evomerge.report.audit.text import as_text
from evomerge.run.audit.audit import audit
from evomerge.run.audit.config import AuditConfig
from evomerge.store import write_json
from evomerge.texts import printable


def run(config: AuditConfig) -> int:
    """Prints the page, and writes the same as data if asked to."""
    found = audit(config)
    if config.json:  # first: whoever reads the page may stop reading
        write_json(Path(config.json), found.to_json())
    for line in as_text(found):
        print(printable(line))
    if config.json:
        print(config.json)
    return 0
