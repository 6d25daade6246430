"""Which architectures evomerge works with: tiny random models of each, through every step, in a process of its own.

Run from the repository root: ``python -m experiments.architectures.study``
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
from pathlib import Path
from typing import Any

from experiments.architectures import trial
from experiments.architectures.catalogue import ARCHITECTURES
from experiments.architectures.page import page
from experiments.machine import machine

OUT = Path("results/architectures/architectures.json")
LIBRARIES = ("torch", "transformers", "lm-eval", "safetensors", "tokenizers")
# Imported once; every process begins with them.
_PRELOADED = ("experiments.architectures.trial", "evomerge.run.search", "lm_eval.tasks")
_LONGEST = 600  # seconds; the slowest takes a twentieth of it


def study(out: Path, names: list[str], *, again: bool = False) -> dict[str, Any]:
    """Tries architectures and writes ``out`` and the table beside it after each.

    Args:
        out: The JSON file; what it holds is not tried again.
        names: Which, of the catalogue.
        again: Whether to try all of them again.

    Returns:
        What the file holds.
    """
    kept = json.loads(out.read_text(encoding="utf-8"))["rows"] if out.is_file() else {}
    rows = {name: row for name, row in kept.items() if name in ARCHITECTURES and not (again and name in names)}
    data: dict[str, Any] = {}
    for name in (None, *(name for name in names if name not in rows)):
        if name is not None:
            rows[name] = tried(name)
            print(f"{name}: {summary(rows[name])}", flush=True)
        data = {"machine": machine(*LIBRARIES), "rows": {key: rows[key] for key in ARCHITECTURES if key in rows}}
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        out.with_suffix(".md").write_text(page(data), encoding="utf-8")
    return data


def tried(name: str) -> dict[str, Any]:
    """Tries one architecture in a process of its own, which ends without a result where it crashes or takes long."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_PRELOADED])
    with tempfile.TemporaryDirectory() as folder:
        process = context.Process(target=trial.run, args=(name, folder))
        process.start()
        process.join(_LONGEST)
        if process.is_alive():
            process.kill()
            process.join()
            return _unfinished(f"not done after {_LONGEST} seconds")
        result = Path(folder, trial.RESULT)
        if not result.is_file():
            return _unfinished(f"exit code {process.exitcode}")
        return json.loads(result.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def _unfinished(text: str) -> dict[str, Any]:
    return {"steps": {"built": {"ok": False, "text": text}}, "seconds": 0.0}


def summary(row: dict[str, Any]) -> str:
    """All steps, or the one that failed, in a line."""
    failed = [f"{step}: {found['text']}" for step, found in row["steps"].items() if not found["ok"]]
    return "; ".join(failed) or f"{len(row['steps'])} steps, {row['seconds']} s"


def main() -> None:
    """Tries what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="architectures of the catalogue; none: all")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--again", action="store_true", help="try what the file holds already, too")
    told = parser.parse_args()
    if unknown := [name for name in told.names if name not in ARCHITECTURES]:
        parser.error(f"unknown: {', '.join(unknown)}; known are {', '.join(ARCHITECTURES)}")
    # Inherited by the processes, which import the Hugging Face libraries only then.
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    study(told.out, told.names or list(ARCHITECTURES), again=told.again)


if __name__ == "__main__":
    main()
