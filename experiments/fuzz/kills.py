"""Merges and exports killed at random moments: no folder may look like a model and be less than one.

Run from the repository root: ``python -m experiments.fuzz.kills``
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import torch

from evomerge.cli.main import main as command
from experiments.fuzz import material
from experiments.fuzz.server import import_all
from experiments.machine import machine

_SEARCH = ["models=[A,B]", "base=base", "method=ties", "tasks=[sums]", "task_path=[tasks]", "items_per_task=4"]
WORDS = {
    "merge": ["merge", "recipe=recipe.json", "out=made/out", "max_shard_size=200KB"],
    "export": ["export", "run=run", "member=knee", "out=made/out", "max_shard_size=200KB"],
}
PATIENCE = 60  # seconds after which a command that should take less than one stands still
STACKS = "stood_still.txt"  # where it then stands
Record = dict[str, Any]


def make_ready(folder: Path) -> None:
    """Makes models that take a while to write, a recipe, and a run to export from."""
    material.build(folder, hidden=128, layers=6)
    (folder / "recipe.json").write_text(json.dumps(material.recipe()))
    os.chdir(folder)
    (folder / "made").mkdir()
    assert _finished(["search", *_SEARCH, "evaluations=2", "run_dir=run"]) == 0


def wholes(folder: Path) -> dict[str, tuple[float, str]]:
    """For each command how long it takes, and a hash of the weights that it makes."""
    found = {}
    for name, words in WORDS.items():
        start = time.perf_counter()
        assert _finished(words) == 0
        found[name] = time.perf_counter() - start, weights(folder / "made" / "out")
        shutil.rmtree(folder / "made" / "out")
    return found


def kill(name: str, seconds: float, folder: Path, whole: str) -> Record:
    """Kills one command, looks at what is there, and runs it again to its end.

    Args:
        name: One of :data:`WORDS`.
        seconds: When it is killed.
        folder: The folder that :func:`make_ready` made.
        whole: Hash of the weights that it makes.

    Returns:
        What was there (``state``), and what is wrong with it.
    """
    place = folder / "made"
    child = _started(WORDS[name])
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    models = _models(place)
    wrong = [
        f"{model.relative_to(place)} looks like a model and is none" for model in models if weights(model) != whole
    ]
    left = sorted(path.name for path in place.iterdir())
    wrong += [f"{path} cannot be told from others' folders" for path in left if path != "out" and ".out." not in path]
    state = "complete" if (place / "out").exists() else "a draft" if left else "nothing yet"
    files = sum(path.is_file() for path in place.rglob("*"))
    shutil.rmtree(place / "out", ignore_errors=True)
    if _finished(WORDS[name]) != 0:
        stacks = (folder / STACKS).read_text()
        wrong.append(f"the next try stands still: {stacks}" if stacks else "the next try fails")
    elif weights(place / "out") != whole:
        wrong.append("the next try makes something else")
    wrong += [f"the next try leaves {path.name}" for path in place.iterdir() if path.name != "out"]
    shutil.rmtree(place)
    place.mkdir()
    at = round(seconds, 4)
    return {"command": name, "killed_at": at, "ended": ended, "state": state, "files": files, "wrong": wrong}


def weights(folder: Path) -> str:
    """A hash of all weight files of a folder, with their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors*")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _models(place: Path) -> list[Path]:
    """Folders that transformers, or this package, would take for models."""
    return [path.parent for path in sorted(place.rglob("config.json")) if any(path.parent.glob("*.safetensors*"))]


def _started(words: list[str]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        faulthandler.dump_traceback_later(
            PATIENCE, exit=True, file=os.open(STACKS, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        )
        code = command(words)
    finally:
        os._exit(code)


def _finished(words: list[str]) -> int:
    _, status = os.waitpid(_started(words), 0)
    return os.waitstatus_to_exitcode(status)


def study(count: int, seed: int, folder: Path) -> tuple[list[Record], dict[str, float]]:
    """Kills merges and exports.

    Args:
        count: How many.
        seed: Of the moments.
        folder: An empty folder; it becomes the current one.

    Returns:
        One record for each, and how long the whole commands take.
    """
    torch.set_num_threads(1)
    import_all()
    make_ready(folder)
    rng, known = Random(seed), wholes(folder)
    records = []
    for _ in range(count):
        name = rng.choice(("merge", "export"))
        seconds, whole = known[name]
        records.append(kill(name, rng.uniform(0, 1.05 * seconds), folder, whole))
    return records, {name: round(seconds, 3) for name, (seconds, _) in known.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results/fuzz"))
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        records, seconds = study(arguments.kills, arguments.seed, Path(folder))
        os.chdir("/")
    wrong = [record for record in records if record["wrong"]]
    about = machine("torch", "transformers", "safetensors")
    data = {"seed": arguments.seed, **about, "seconds": seconds, "wrong": wrong, "kills": records}
    (out / "kills.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    text = page(data)
    (out / "kills.md").write_text(text, encoding="utf-8")
    print(text)


def page(data: dict[str, Any]) -> str:
    """The committed page, of what ``kills.json`` holds."""
    records, seconds = data["kills"], data["seconds"]
    counts = Counter((record["command"], record["state"]) for record in records if record["ended"] < 0)
    versions = ", ".join(f"{name} {number}" for name, number in data["versions"].items())
    lines = [
        "# Killed merges and exports",
        "",
        f"{counts.total()} of {len(records)} commands killed by SIGKILL before their end, at random moments, seed "
        f"{data['seed']}; {data['date']} on {data['cpu']}; {versions}. A whole merge takes {seconds['merge']:.2f} s, "
        f"an export {seconds['export']:.2f} s.",
        "",
        "| command | nothing yet | a draft | the complete model |",
        "|---|---|---|---|",
        *(
            f"| {name} | {counts[name, 'nothing yet']} | {counts[name, 'a draft']} | {counts[name, 'complete']} |"
            for name in WORDS
        ),
        "",
        f"Wrong: {len(data['wrong'])}. A kill counts as wrong where some folder has a config and weights and is not "
        "the whole model, where what is left cannot be told from other folders, or where the same command, given "
        "again, fails, makes another model or leaves anything behind.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
