"""A search over problems whose answers are run, from tiny models to its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evomerge.cli.main import main
from evomerge.fitness.tasks.code import sandbox
from tests.building import perturbed, tiny_llama


@pytest.mark.slow
@pytest.mark.skipif(sandbox.refusal() is not None, reason=str(sandbox.refusal()))
def test_a_search_runs_answers(folder: Path, completed: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> None:
    base = tiny_llama(folder / "base", 0)
    perturbed(base, folder / "A", 1)
    perturbed(base, folder / "B", 2)
    # Quotes of the command line know no escapes; those of templates do.
    given = completed | {"tests": "{{test}}{{'\\n'}}check({{entry_point}})", "stop": "def", "max_gen_toks": 8}
    task = ", ".join(
        f'{key}: "{value}"' if isinstance(value, str) else f"{key}: {value}" for key, value in given.items()
    )
    words = ["models=[A,B]", "base=base", "method=linear", f"tasks=[{{{task}}}]", "evaluations=2", "run_dir=run"]
    splits = "fitness.splits={search: 0.6, selection: 0.0, test: 0.4}"
    assert main(["search", *words, splits]) == 2
    assert "set fitness.code=sandbox to let them run" in capfd.readouterr().err
    assert not (folder / "run").exists()
    assert main(["search", *words, splits, "fitness.code=sandbox"]) == 0
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    assert manifest["identity"]["fitness"]["code"] == "sandbox"
    assert "completed.pass@1" in (folder / "run" / "report.md").read_text()
