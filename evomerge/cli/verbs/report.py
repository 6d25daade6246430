"""``evomerge report``: writes a run's report again."""

from __future__ import annotations

from evomerge import report
from evomerge.run.run_config import ReportConfig


def run(config: ReportConfig) -> int:
    """Writes the report and says where it is."""
    for path in report.write(config.run):
        print(path)
    return 0
