"""``evomerge submit``: checks a search, writes its folder with the files of a batch job, and says how to send them."""

from __future__ import annotations

import shlex
import sys

from evomerge.run.cluster.settings import SubmitSettings
from evomerge.run.cluster.submission import submit
from evomerge.run.run_config import RunConfig
from evomerge.texts import printable


def run(config: RunConfig, settings: SubmitSettings) -> int:
    """Writes the files; nothing is sent, and nothing runs here afterwards."""
    for note in config.notes:
        _say(note)
    made = submit(config, settings, _say)
    for note in made.notes:
        _say(f"warning: {note}")
    _say(f"run folder: {made.folder}\nSLURM, Kubernetes, or by hand on any machine that sees the folder:")
    print(shlex.join(["sbatch", str(made.sbatch)]))
    print(shlex.join(["kubectl", "apply", "-f", str(made.yaml)]))
    print(shlex.join(["evomerge", "worker", f"run={made.folder}"]))
    return 0


def _say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
