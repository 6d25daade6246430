"""Search merges of the three experts with evomerge's command line: one objective, then two.

Each search has its folder under ``results/smollm2``; running the script again goes on where it stopped. Wall seconds of
every call are kept, so that the table of seconds per candidate can tell merging and scoring from everything else.

Run from the repository root, after ``prepare`` and ``finetune``: ``python -m experiments.smollm2.study``
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median
from typing import Any

from evomerge.evaluation import Evaluation
from evomerge.store import RunStore
from experiments.smollm2.data import SKILLS
from experiments.smollm2.prepare import DEFAULT_WORK

DEFAULT_RESULTS = Path("results/smollm2")
# Each search is a named experiment under conf/experiment.
SEARCHES = {"single": "smollm2_single", "front": "smollm2_front"}


def as_written(path: Path) -> str:
    """A path relative to the current folder where it lies inside, so that committed runs name no machine's folders."""
    absolute = path.resolve()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)


def command(name: str, run: Path, work: Path) -> list[str]:
    """The arguments after ``evomerge`` for one search.

    Args:
        name: Key of ``SEARCHES``.
        run: Its run folder.
        work: The folder with ``base`` and the experts.

    Returns:
        Verb and overrides.
    """
    arguments = ["search", f"experiment={SEARCHES[name]}", f"run_dir={as_written(run)}"]
    if work.resolve() != DEFAULT_WORK.resolve():
        experts = ",".join(as_written(work / f"expert_{skill}") for skill in SKILLS)
        arguments += [f"models=[{experts}]", f"base={as_written(work / 'base')}"]
    return arguments


def evaluations(run: Path) -> list[Evaluation]:
    """Every evaluation of a run, or none where it has not begun."""
    return RunStore.read(run).evaluations() if (run / "manifest.json").exists() else []


def search_once(name: str, run: Path, work: Path, calls: Path) -> None:
    """Run or continue one search and note how long the process took.

    Args:
        name: Key of ``SEARCHES``.
        run: Its run folder.
        work: The folder with ``base`` and the experts.
        calls: File that gets one line a call: search, wall seconds, evaluations added.

    Raises:
        SystemExit: With evomerge's own exit code when it fails.
    """
    arguments = command(name, run, work)
    print("evomerge", *arguments, flush=True)
    before, started = len(evaluations(run)), time.monotonic()
    # Offline: the study's checkpoints and tasks are folders on this disk.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    code = subprocess.run([sys.executable, "-m", "evomerge", *arguments], env=environment, check=False).returncode
    line = {"search": name, "seconds": time.monotonic() - started, "evaluations": len(evaluations(run)) - before}
    with calls.open("a") as file:
        file.write(json.dumps(line) + "\n")
    if code:
        raise SystemExit(code)


def seconds_row(name: str, run: Path, calls: list[dict[str, Any]]) -> str:
    """One row of the table: seconds per evaluation of a search's candidates, and the rest of the wall time.

    Args:
        name: Key of ``SEARCHES``.
        run: Its run folder.
        calls: All lines of the file of calls; those that added no evaluation do not count.

    Returns:
        A Markdown row.
    """
    store = RunStore.read(run)
    done, searched = store.evaluations(), store.evaluations("search")
    seconds = {evaluation.ask: store.provenance(evaluation).seconds for evaluation in done}
    merge, score = (median(seconds[e.ask].get(part, 0.0) for e in searched) for part in ("merge", "score"))
    inside = sum(sum(spent.values()) for spent in seconds.values())
    wall = sum(call["seconds"] for call in calls if call["search"] == name and call["evaluations"])
    items = mean(evaluation.items for evaluation in searched)
    rest = (wall - inside) / len(done)
    return f"| {name} | {len(searched)} | {items:.0f} | {merge:.2f} | {score:.2f} | {rest:.2f} | {wall / 60:.1f} |"


def write_seconds(results: Path, calls: Path) -> Path:
    """Write ``seconds.md``, the table of seconds per candidate.

    Args:
        results: The folder that holds both run folders.
        calls: File with one line a call.

    Returns:
        The file.
    """
    lines = [json.loads(line) for line in calls.read_text().splitlines()]
    rows = [seconds_row(name, results / name, lines) for name in SEARCHES]
    target = results / "seconds.md"
    target.write_text(
        "# Seconds per candidate\n\n"
        f"SmolLM2-135M, three experts, {os.cpu_count()} processor cores, no GPU. Medians over all candidates of the\n"
        "search split, baselines included; *rest* is the remaining wall time of the whole command (start, loading,\n"
        "tokenising, proposals, records, report) per evaluation; *minutes* is the whole command with its\n"
        "confirmation on the test split.\n\n"
        "| search | candidates | items each | merge | score | rest | minutes |\n|---|---|---|---|---|---|---|\n"
        + "\n".join(rows)
        + f"\n\nMeasured on {date.today().isoformat()}, {platform.machine()}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "lm-eval", "pymoo", "cma"))
        + ".\n"
    )
    return target


def main() -> None:
    """Run what is missing of the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=DEFAULT_WORK, help="folder with base and experts")
    parser.add_argument("--results", type=Path, default=DEFAULT_RESULTS, help="folder for the run folders")
    parser.add_argument("--only", choices=tuple(SEARCHES), help="one of the searches")
    arguments = parser.parse_args()
    missing = [f for f in ("base", *(f"expert_{s}" for s in SKILLS)) if not (arguments.work / f).is_dir()]
    if missing:
        raise SystemExit(f"expected {', '.join(missing)} in {arguments.work}; run prepare and finetune first")
    arguments.results.mkdir(parents=True, exist_ok=True)
    calls = arguments.results / "calls.jsonl"
    for name in [arguments.only] if arguments.only else SEARCHES:
        search_once(name, arguments.results / name, arguments.work, calls)
    if all(evaluations(arguments.results / name) for name in SEARCHES):
        print(write_seconds(arguments.results, calls))


if __name__ == "__main__":
    main()
