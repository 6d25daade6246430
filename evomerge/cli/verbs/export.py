"""``evomerge export``: a member of a front becomes a model folder, checked against what was recorded."""

from __future__ import annotations

import sys

from evomerge.run.configs.verbs import ExportConfig
from evomerge.run.export import export_member
from evomerge.run.model_folder.verification import ExportMismatch
from evomerge.texts import printable


def run(config: ExportConfig) -> int:
    """Exports, reloads, compares; on a mismatch nothing is left behind and the exit code is 1."""
    try:
        done = export_member(
            config.run,
            config.member,
            config.out,
            max_shard_size=config.max_shard_size,
            offline=bool(config.offline),
            trust_remote_code=config.trust_remote_code,
        )
    except ExportMismatch as error:
        print(f"evomerge: {error}", file=sys.stderr)
        return 1
    if done.items:
        print(
            f"member {done.member} reloaded from disk and asked {done.items} {done.split} items again: "
            f"largest difference in log-likelihood {done.difference:.2g} (allowed {done.tolerance:.2g})"
        )
    else:
        print(f"member {done.member} reloaded from disk: its weights are the candidate's to the last bit")
    for warning in done.warnings:
        print(printable(f"warning: {warning}"), file=sys.stderr)
    print(done.folder)
    return 0
