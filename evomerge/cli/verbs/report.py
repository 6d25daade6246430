"""``evomerge report``: writes the report of a run, or the page over a sweep's runs, again."""

from __future__ import annotations

from evomerge import report
from evomerge.report import sweep
from evomerge.run.configs.verbs import ReportConfig
from evomerge.store import is_sweep


def run(config: ReportConfig) -> int:
    """Writes the report and says where it is."""
    for path in sweep.write(config.run) if is_sweep(config.run) else report.write(config.run, config.prefer):
        print(path)
    return 0
