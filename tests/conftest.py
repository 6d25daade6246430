"""Folders as users have them: experts, their base and tasks of their own; empty ones to name, real ones to run."""

import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# On two cores threads of two processes would wait for each other at full speed. It is read as PyTorch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# What is imported while tests are found stays: garbage in it is looked for once, below.
gc.disable()

from tests.apart import LARGE, Apart  # noqa: E402
from tests.building import perturbed, tiny_llama  # noqa: E402

# Folders with the files that take longest: a worker that is at one of them when no file is left keeps the other idle.
LONG = ("run", "executors", "cli", "contracts", "search", "report", "fitness", "statistics", "merging")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers take files in this order."""
    here = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        folder = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        return LONG.index(folder) if folder in LONG else len(LONG)

    items.sort(key=place)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop() -> None:
    """What is there before the first test stays: a search, which collects garbage, need not look at it each time."""
    gc.collect()
    gc.freeze()
    gc.enable()


TASK = """\
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{test: {name}.jsonl}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{options}}}}"
doc_to_target: gold
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
"""


def write_task(folder: Path, name: str, items: int) -> None:
    """A two-choice task of ``items`` sums."""
    rows = [{"question": f"{i} + 1 =", "options": [str(i + 1), str(i + 2)], "gold": i % 2} for i in range(items)]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / f"{name}.yaml").write_text(TASK.format(name=name))


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with models A, B, C and my_tasks/rhymes.yaml; the models' files are of no interest here."""
    for name in ("A", "B", "C"):
        (tmp_path / name).mkdir()
    (tmp_path / "my_tasks").mkdir()
    write_task(tmp_path / "my_tasks", "rhymes", 4)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with real tiny models (base, A, B), one without weights (hollow), and tasks/sums.yaml."""
    folder = tmp_path_factory.mktemp("workshop")
    base = tiny_llama(folder / "base", 0)
    perturbed(base, folder / "A", 1)
    perturbed(base, folder / "B", 2)
    perturbed(base, folder / "hollow", 3)
    (folder / "hollow" / "model.safetensors").unlink()
    (folder / "tasks").mkdir()
    write_task(folder / "tasks", "sums", 60)
    return folder


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    """Runs code in processes of its own, which have imported PyTorch, but nothing of ours and of Hugging Face's."""
    with Apart(tmp_path_factory.mktemp("bare"), *LARGE) as server:
        yield server


@pytest.fixture(scope="session")
def apart(bare: Apart, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    """Runs code in processes of its own, which have imported what a search imports."""
    names = ("evomerge.merging", "evomerge.run.search", "lm_eval.tasks")
    with Apart(tmp_path_factory.mktemp("apart"), *names, within=bare) as server:
        yield server
