"""The real HumanEval and MBPP through the sandbox: do all their own solutions pass, and do spoilt ones fail?

    python -m experiments.generation.real_code FOLDER

``FOLDER`` holds ``HumanEval.jsonl`` (of github.com/openai/human-eval) and ``mbpp.jsonl`` (of
github.com/google-research/google-research, folder mbpp). They are laid out in a temporary folder under the names by
which lm-eval's tasks load them, with MBPP's own splits, so nothing is asked of the network. A solution is spoilt by
putting each value that it returns into a list.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import datasets

from evomerge.fitness import FitnessSettings
from evomerge.fitness.inference.requests import Generated
from evomerge.fitness.tasks.benchmark import Benchmark
from evomerge.fitness.tasks.build import open_tasks
from evomerge.fitness.tasks.code import permission, sandbox
from evomerge.fitness.tasks.code.solutions import solution_forms
from evomerge.fitness.tasks.items import Item
from experiments.machine import machine

# The same problems as tasks of the user's own; MBPP's with the code that some tests need, which lm-eval leaves out.
DECLARED: dict[str, dict[str, Any]] = {
    "humaneval_declared": {
        "data": "HumanEval.jsonl",
        "question": "{{prompt}}",
        "answer": "{{canonical_solution}}",
        "program": "{{prompt}}{{completion}}",
        "tests": "{{test}}\ncheck({{entry_point}})",
    },
    "mbpp_declared": {
        "data": "mbpp.jsonl",
        "question": "{{text}}",
        "answer": "{{code}}",
        "tests": "{% if test_setup_code %}{{test_setup_code}}\n{% endif %}{{test_list | join('\n')}}",
    },
}
TASKS = ("humaneval", "humaneval_instruct", "mbpp", "mbpp_instruct", *DECLARED)
BLOCKS = ("mbpp_instruct",)  # whose answers are what ends a block that the question has opened
SPLITS = {"prompt": (1, 10), "test": (11, 510), "validation": (511, 600), "train": (601, 974)}  # of MBPP's task ids
NAME = re.compile(r"^def\s+(\w+)", re.MULTILINE)
RESULTS = Path("results/generation/real_code.json")
Rows = list[dict[str, Any]]


def rows(file: Path) -> Rows:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def lay_out(data: Path, folder: Path) -> None:
    """Writes both data sets into a folder, under the names that the ``datasets`` library looks for."""
    parts = {"openai/openai_humaneval": {"test": rows(data / "HumanEval.jsonl")}}
    problems = rows(data / "mbpp.jsonl")
    parts["google-research-datasets/mbpp"] = {
        split: [row for row in problems if low <= row["task_id"] <= high] for split, (low, high) in SPLITS.items()
    }
    for name, every in parts.items():
        splits = {split: found for split, found in every.items() if found}
        (folder / name).mkdir(parents=True)
        files = [f"{{split: {split}, path: {split}.parquet}}" for split in splits]
        table = datasets.Dataset.from_list([row for found in splits.values() for row in found])  # one schema for all
        for split, found in splits.items():
            part = datasets.Dataset.from_list(found, features=table.features)
            part.to_parquet(folder / name / f"{split}.parquet")
        own = "mbpp.jsonl" if "mbpp" in name else "HumanEval.jsonl"
        (folder / own).write_text("".join(json.dumps(row) + "\n" for row in splits["test"]), encoding="utf-8")
        config = "full" if "mbpp" in name else "openai_humaneval"
        head = f"---\nconfigs:\n- {{config_name: {config}, data_files: [{', '.join(files)}]}}\n---\n"
        (folder / name / "README.md").write_text(head, encoding="utf-8")


def spoilt(item: Item, solution: str) -> str:
    """A solution whose functions, as far as tests call them, return their value in a list."""
    tests = item.doc.get("test") or "\n".join(item.doc["test_list"])
    names = [item.doc["entry_point"]] if "entry_point" in item.doc else NAME.findall(solution)
    called = [name for name in dict.fromkeys(names) if "entry_point" in item.doc or re.search(rf"\b{name}\b", tests)]
    return solution.rstrip() + "".join(
        f"\n\n_{name}_right = {name}\n\n\ndef {name}(*given, **named):\n    return [_{name}_right(*given, **named)]\n"
        for name in called
    )


def passing(found: Benchmark, texts: Mapping[str, str]) -> set[str]:
    """Which answers pass, by item."""
    with permission.given("sandbox"):
        judged = found.judge({item: [Generated(text, False)] for item, text in texts.items()})
    metric = next(name for name in judged[0].metrics if name.startswith("pass"))
    return {response.item for response in judged if response.metrics[metric] == 1.0}


def measure(name: str, found: Benchmark) -> dict[str, Any]:
    """How many solutions of a task pass, spoilt and unspoilt, and the problems of which that is not as it should be."""
    block, forms = name in BLOCKS, solution_forms(found.task)
    solutions = {item: forms(one)[0] for item, one in found.items.items()}
    bad = {item: spoilt(one, solutions[item]) for item, one in found.items.items()}
    right, wrong = (
        passing(found, {item: f"\n{text}\n```" if block else text for item, text in part.items()})
        for part in (solutions, bad)
    )
    ids = {item: str(one.doc["task_id"]) for item, one in found.items.items()}
    return {
        "task": name,
        "problems": len(ids),
        "solutions that pass": len(right),
        "spoilt ones that fail": len(ids) - len(wrong),
        "solutions that fail": sorted(ids[item] for item in set(ids) - right),
        "spoilt ones that pass": sorted(ids[item] for item in wrong),
    }


def measured(data: Path, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Lays data sets out in a temporary folder, and measures tasks over them.

    Args:
        data: Folder with ``HumanEval.jsonl`` and ``mbpp.jsonl``.
        tasks: Of :data:`TASKS`.
    """
    before, cached = Path.cwd(), datasets.config.HF_DATASETS_CACHE
    with tempfile.TemporaryDirectory() as temporary:
        lay_out(data, Path(temporary))
        datasets.config.HF_DATASETS_CACHE = Path(temporary) / "cache"
        os.chdir(temporary)
        try:
            named = [{"task": name} | DECLARED[name] if name in DECLARED else name for name in tasks]
            settings = FitnessSettings(tuple(named), code="sandbox", splits={"search": 1.0})
            return [measure(name, found) for name, found in open_tasks(settings, None).benchmarks.items()]
        finally:
            os.chdir(before)
            datasets.config.HF_DATASETS_CACHE = cached


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="FOLDER", help="with HumanEval.jsonl and mbpp.jsonl")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    arguments = parser.parse_args()
    if (refused := sandbox.refusal()) is not None:
        raise SystemExit(f"no sandbox here: {refused}")
    found = measured(arguments.data, arguments.tasks)
    text = json.dumps({"machine": machine("lm-eval", "datasets"), "measured": found}, indent=1)
    RESULTS.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
