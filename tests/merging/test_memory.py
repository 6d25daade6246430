"""Merging needs memory for one tensor, however many and large the checkpoints are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

from evomerge.checkpoints import TensorSpec, write_shards
from tests.merging.conftest import by_layer, make_recipe

ELEMENTS = 4_000_000
TENSORS = 12

CHILD = """
import re, sys
from pathlib import Path
import torch
from evomerge.merging import Buffer, Merger, Sources
from evomerge.recipe import Recipe

def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

recipe = Recipe.load(sys.argv[1])
merger = Merger(Sources.open(recipe))
start, most = None, 0
for name, tensor in merger.stream(recipe, memory=Buffer(merger.device)):
    start = anonymous() if start is None else start  # the first tensor pays for what is set up once
    most = max(most, anonymous())
print(most - start)
"""


def test_one_tensor_at_a_time(tmp_path: Path) -> None:
    """Memory of the process's own, mapped files aside, does not grow by another tensor; the models have 36."""
    folders = [tmp_path / name for name in ("base", "one", "two")]
    specs = {f"model.layers.{i}.mlp.up_proj.weight": TensorSpec(torch.bfloat16, (ELEMENTS,)) for i in range(TENSORS)}
    for seed, folder in enumerate(folders):
        folder.mkdir()
        generator = torch.Generator().manual_seed(seed)
        values = torch.randn(ELEMENTS, generator=generator).to(torch.bfloat16)
        write_shards(folder, specs, ((name, values) for name in specs), max_shard_bytes=10**9)
        (folder / "config.json").write_text("{}")
    base, *experts = folders
    make_recipe("task_arithmetic", experts, base, groups=by_layer(TENSORS)).save(tmp_path / "recipe.json")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "recipe.json")],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) <= ELEMENTS * 2
