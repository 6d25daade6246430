"""A setting is declared in one place: the field of the dataclass that uses it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import evomerge
from evomerge.candidate import ModelSettings
from evomerge.merging import PreparedSettings

PACKAGE = Path(evomerge.__file__).parent

# Fields that a developer adds, one line each: in a section, and under a key of its own.
ADDED = {
    "genome/settings.py": (
        "class GenomeSettings:",
        '    haste: float = field(default=2.5, metadata=setting("a new setting of a section", low=1, high=9))',
    ),
    "run/run_config.py": (
        "class RunConfig:",
        '    mood: str = field(default="calm", metadata=setting("a new key", choices=("calm", "bold")))',
    ),
}
PROGRAM = """
import json
from evomerge.config import compose, help
from evomerge.errors import InputError

words = ["models=[A,B]", "base=C", "tasks=[rhymes]", "task_path=[my_tasks]"]
values = {"models": ["A", "B"], "base": "C", "tasks": ["rhymes"], "task_path": ["my_tasks"]}

def problems(*more):
    try:
        compose.search([*words, *more])
    except InputError as error:
        return list(error.problems)

plain, given = compose.search(words), compose.search([*words, "genome.haste=3", "mood=bold", "genome=blocks"])
print(json.dumps({
    "help": " ".join(help.verb("search").split()),
    "plain": [plain.genome.haste, plain.mood, plain.to_json()["genome"]["haste"], plain.to_json()["mood"]],
    "given": [given.genome.haste, given.mood, given.genome.to_json()["haste"], given.genome.depth],
    "command": compose.from_values({**values, "genome": {"haste": 4}, "mood": "bold"}).command,
    "problems": problems("genome.haste=10", "mood=bald", "genome.hast=1"),
}))
"""


def test_limits_of_what_is_prepared_are_the_same_without_a_configuration() -> None:
    """Merging knows no configuration, and the settings of a model must not bring torch: each has them for itself."""
    plain, configured = PreparedSettings(), ModelSettings()
    assert (plain.disk, plain.memory) == (configured.prepared_disk, configured.prepared_memory)


def test_a_setting_added_in_one_place_is_in_help_checks_and_the_configuration(desk: Path) -> None:
    shutil.copytree(PACKAGE, desk / "evomerge", ignore=shutil.ignore_patterns("__pycache__"))
    if not (PACKAGE / "conf").exists():
        shutil.copytree(PACKAGE.parent / "conf", desk / "conf")
    for name, (owner, line) in ADDED.items():
        path = desk / "evomerge" / name
        before, rest = path.read_text().split(owner, 1)
        docstring, body = rest.split('"""\n\n', 1)
        path.write_text(f'{before}{owner}{docstring}"""\n\n{line}\n{body}')
    environment = {**os.environ, "PYTHONPATH": str(desk), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=desk, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "genome.haste a new setting of a section (default 2.5)" in found["help"]
    assert "mood a new key (calm | bold; default calm)" in found["help"]
    assert found["plain"] == [2.5, "calm", 2.5, "calm"]
    assert found["given"] == [3.0, "bold", 3.0, "blocks"]
    assert {"genome.haste=4", "mood=bold"} <= set(found["command"])
    assert len(found["problems"]) == 3
    for expected in (
        "genome.haste: expected a number from 1 to 9, came 10",
        "mood: expected a name, came 'bald' (one of calm, bold",
        "genome.hast: unknown key; did you mean 'genome.haste'",
    ):
        assert any(expected in problem for problem in found["problems"]), found["problems"]
