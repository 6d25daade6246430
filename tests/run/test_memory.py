"""The memory that ``check`` predicts is the memory that a search takes, on models of real size with random weights."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.merge_speed.models import EXPERTS, generate
from tests.adapters import lora
from tests.building import tiny_tokenizer
from tests.run.family import ROOT, write_task

# The whole program in a process of its own, which then says the most memory that it ever had.
CHILD = """
import re, sys
from pathlib import Path
from evomerge.cli.main import main

code = main(sys.argv[1:])
print("peak", int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024)
sys.exit(code)
"""
UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9}


@pytest.fixture
def models(tmp_path: Path) -> Iterator[Path]:
    """A folder for gigabytes of weights, which are not left behind."""
    yield tmp_path / "models"
    shutil.rmtree(tmp_path / "models")


def program(*words: str) -> str:
    done = subprocess.run([sys.executable, "-c", CHILD, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("size", "method", "dtype"),
    [
        pytest.param("135m", "ties", "float32", marks=pytest.mark.slow),
        pytest.param("1b", "task_arithmetic", "bfloat16", marks=pytest.mark.slow),
    ],
)
def test_peak_memory_is_predicted(tmp_path: Path, models: Path, size: str, method: str, dtype: str) -> None:
    """Three bfloat16 experts and their base, all of them mapped, one live model."""
    base, *experts = generate(size, models)
    tiny_tokenizer(base)
    write_task(tmp_path, "quiz", 0, items=60)
    words = [
        f"models=[{','.join(map(str, experts))}]", f"base={base}", f"method={method}", "tasks=[quiz]",
        f"task_path={tmp_path}", "items_per_task=8", "test_items_per_task=8", "evaluations=4", "searcher.population=5",
        "genome=model", f"model.dtype={dtype}", "model.threads=2", "progress=none", f"run_dir={tmp_path / 'run'}",
        "confirm.finalists=1",
    ]  # fmt: skip
    assert len(experts) == len(EXPERTS)
    said = re.search(r"memory: ([\d.e+]+) (kB|MB|GB) per worker", program("check", "--headers", *words))
    assert said is not None
    predicted = float(said[1]) * UNITS[said[2]]
    peak = int(re.findall(r"peak (\d+)", program("search", *words))[0])
    print(f"{size} {method}: predicted {predicted / 1e9:.3f} GB, peak {peak / 1e9:.3f} GB")
    assert predicted / 1.1 < peak < predicted * 1.1


@pytest.mark.parametrize(
    ("method", "copies"),
    [
        # Whole tensors of all adapters at once, but of one tensor at a time; and none at all, where the method adds up.
        pytest.param("ties", 8, marks=pytest.mark.slow),
        pytest.param("task_arithmetic", 0, marks=pytest.mark.slow),
    ],
)
def test_eight_adapters_take_memory_for_one_model_and_the_adapters(
    tmp_path: Path, models: Path, method: str, copies: int
) -> None:
    base = generate("135m", models)[0]
    tiny_tokenizer(base)
    write_task(tmp_path, "quiz", 0, items=60)
    adapters = [lora(base, models / f"adapter_{seed}", seed, rank=8, scale=0.01) for seed in range(8)]
    words = [
        f"models=[{','.join(map(str, adapters))}]", f"method={method}", "tasks=[quiz]", f"task_path={tmp_path}",
        "items_per_task=8", "test_items_per_task=8", "evaluations=4", "searcher.population=5", "genome=model",
        "model.dtype=float32", "model.threads=1", "progress=none", f"run_dir={tmp_path / 'run'}",
        "confirm.finalists=1", "model.prepared_memory=0", "model.prepared_disk=0",
    ]  # fmt: skip
    said = program("check", "--headers", *words)
    memory = re.search(r"memory: ([\d.e+]+) (kB|MB|GB) per worker .*mapped checkpoints ([\d.]+) MB", said)
    assert memory is not None
    predicted, mapped = float(memory[1]) * UNITS[memory[2]], float(memory[3]) * 1e6
    weights = sum((folder / "model.safetensors").stat().st_size for folder in [base])
    files = sum((folder / "adapter_model.safetensors").stat().st_size for folder in adapters)
    assert mapped == pytest.approx(weights + files, rel=0.01)
    peak = int(re.findall(r"peak (\d+)", program("search", *words))[0])
    print(f"eight adapters, {method}: predicted {predicted / 1e9:.3f} GB, peak {peak / 1e9:.3f} GB")
    assert predicted / 1.1 < peak < predicted * 1.1
    # The program, the model that is scored, in float32, the mapped base and adapters: whole models would be 2 GB more.
    assert peak < 600e6 + 3 * weights + files + copies * 1536 * 576 * 4 + 200e6
