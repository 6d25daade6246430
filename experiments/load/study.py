"""Ten thousand evaluations that cost nothing, through each executor: rate, the driver's CPU and memory, replay, report.

    python -m experiments.load.study [--candidates 10000] [--executors local processes]

Each measurement is kept in ``load.json`` as it is done; a repeated command goes on with what is missing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from evomerge import executors
from experiments.load.page import write_page
from experiments.machine import machine

ROOT = Path(__file__).parents[2]

# Name of an executor to its options; another one that is to be tried is a line here.
EXECUTORS: dict[str, dict[str, Any]] = {
    "local": {},
    "processes": {"workers": 2},
    "folder": {"workers": 2},
    "ray": {"workers": 2},
}
INSTALLED = [
    name for name in EXECUTORS if executors.load(name).library is None or not executors.load(name).problems({})
]


def measured(executor: str, candidates: int) -> dict[str, Any]:
    """What `experiments.load.one` finds for an executor."""
    with tempfile.TemporaryDirectory() as folder:
        words = [executor, json.dumps(EXECUTORS[executor]), str(candidates), str(Path(folder) / "run")]
        done = subprocess.run(
            [sys.executable, "-m", "experiments.load.one", *words], cwd=ROOT, stdout=subprocess.PIPE, check=True
        )
    return {"options": EXECUTORS[executor], **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=10_000)
    parser.add_argument("--executors", nargs="+", default=INSTALLED, choices=list(EXECUTORS))
    parser.add_argument("--out", type=Path, default=Path("results/load"))
    parser.add_argument("--again", action="store_true", help="measure everything anew")
    arguments = parser.parse_args()
    kept = arguments.out / "load.json"
    known = json.loads(kept.read_text()) if kept.exists() and not arguments.again else {}
    if known.get("candidates") != arguments.candidates:
        known = {"candidates": arguments.candidates, **machine("numpy", "pymoo"), "found": {}}
    arguments.out.mkdir(parents=True, exist_ok=True)
    for executor in arguments.executors:
        if executor not in known["found"]:
            known["found"][executor] = measured(executor, arguments.candidates)
            kept.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    print(write_page(known, arguments.out / "README.md"))


if __name__ == "__main__":
    main()
