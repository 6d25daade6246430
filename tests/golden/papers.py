"""Holds evomerge to results of the authors' own code.

    python -m tests.golden.papers FOLDER

A case is a folder with ``case.json``, ``expected.safetensors`` and sometimes statistics, beside the folders of models
that they were computed from. Cases of methods that look at data have a table of their own; a folder may hold either
kind. Prints the cases that disagree beyond their tolerance, and those that are not in the table, with the reason
where that is known; then how many agree. Exits with 0 if all do.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tests.golden.data_table import CASES as DATA_CASES
from tests.golden.data_table import WITHOUT as DATA_WITHOUT
from tests.golden.data_table.case import INPUTS, DataFamily
from tests.golden.table import CASES
from tests.golden.table.case import Family, Tensors, differences, write_family


def cases(folder: Path) -> dict[str, Mapping[str, Any]]:
    """All cases of a folder: name to what its ``case.json`` says."""
    found = sorted(folder.glob("*/case.json"))
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in found}


def disagreements(folder: Path, name: str, case: Mapping[str, Any], models: Path) -> list[str]:
    """Reasons why a case disagrees, one sentence each; none if it agrees.

    Args:
        folder: Of all cases.
        name: Of the case.
        case: What its ``case.json`` says.
        models: Folder for the families as checkpoints; those that are there are used again.
    """
    table = DATA_CASES if of_data(case) else CASES
    if name not in table:
        why = DATA_WITHOUT.get(name)
        return ["is not in the table" if why is None else f"is not in the table: {why}"]
    expected = load_file(folder / name / "expected.safetensors")
    try:
        with torch.no_grad():
            found = computed(folder, name, case, models)
    except Exception as error:  # the other cases are still of interest
        return [f"failed: {type(error).__name__}: {error}"]
    return list(differences(case, expected, found))


def of_data(case: Mapping[str, Any]) -> bool:
    """Whether a case is one of those that look at data."""
    return "family" in case


def computed(folder: Path, name: str, case: Mapping[str, Any], models: Path) -> Tensors:
    """What evomerge computes for a case."""
    inputs = INPUTS if of_data(case) else case["inputs"]
    if not (models / inputs).exists():
        write_family(folder / inputs, models / inputs)
    if of_data(case):
        return DATA_CASES[name](DataFamily(folder, name, case, models / inputs))
    statistics = folder / name / "stats.safetensors"
    given = load_file(statistics) if statistics.exists() else {}
    return CASES[name](Family(models / inputs, case, folder / inputs, given))


def main(folder: Path) -> int:
    """Prints what disagrees, and how many cases agree."""
    agreed, found = 0, cases(folder)
    with tempfile.TemporaryDirectory() as models:
        for name, case in found.items():
            problems = disagreements(folder, name, case, Path(models))
            agreed += not problems
            if problems:
                more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
                print(f"{name}: {problems[0]}{more}")
    print(f"{agreed} of {len(found)} agree")
    return 0 if found and agreed == len(found) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
