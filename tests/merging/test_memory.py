"""Merging needs memory for one tensor, however many and large the checkpoints are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from evomerge.checkpoints import TensorSpec, write_shards
from tests.apart import Apart
from tests.merging.conftest import by_layer, make_recipe

ELEMENTS = 4_000_000
TENSORS = 12

CHILD = """
import ctypes, re, sys
from pathlib import Path
import torch
from evomerge.merging import Buffer, Merger, Checkpoints, footprint
from evomerge.recipe import Recipe

def anonymous():
    return int(re.search(r"RssAnon:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

if len(sys.argv) > 2:
    # A method of whole tensors in place of the recipe's; it looks when it holds most.
    import evomerge.methods.task_arithmetic as place
    from dataclasses import replace
    from evomerge.methods import whole_tensor

    def deltas(context, base, models, coefficients, options):
        mean = sum(models) / len(models)
        result = base + (mean - base)
        global most
        if start is not None:
            most = max(most, anonymous())
        return result

    place.METHOD = replace(place.METHOD, merge=whole_tensor(deltas))

recipe = Recipe.load(sys.argv[1])
merger = Merger(Checkpoints.open(recipe))
start, most = None, 0
for name, tensor in merger.stream(recipe, memory=Buffer(merger.device)):
    if start is None:  # the first tensor pays for what is set up once
        ctypes.CDLL(None).malloc_trim(0)
        start = anonymous()
    most = max(most, anonymous())
print(most - start, footprint(merger.checkpoints, recipe, model_dtype="bfloat16").working)
"""


def measured(apart: Apart, folder: Path, *words: str, stages: int = 1) -> tuple[int, int]:
    """Memory of a process of its own, mapped files aside, while it merges; and what was predicted."""
    folders = [folder / name for name in ("base", "one", "two")]
    specs = {f"model.layers.{i}.mlp.up_proj.weight": TensorSpec(torch.bfloat16, (ELEMENTS,)) for i in range(TENSORS)}
    for seed, place in enumerate(folders):
        place.mkdir()
        generator = torch.Generator().manual_seed(seed)
        values = torch.randn(ELEMENTS, generator=generator).to(torch.bfloat16)
        write_shards(place, specs, ((name, values) for name in specs), max_shard_bytes=10**9)
        (place / "config.json").write_text("{}")
    base, *experts = folders
    recipe = make_recipe("task_arithmetic", experts, base, groups=by_layer(TENSORS))
    for _ in range(stages - 1):
        recipe = replace(recipe, sources=(recipe, recipe.sources[1]))
    recipe.save(folder / "recipe.json")
    used, predicted = map(int, apart.run(CHILD, str(folder / "recipe.json"), *words).split())
    return used, predicted


def test_one_tensor_at_a_time(apart: Apart, tmp_path: Path) -> None:
    """Memory does not grow by another tensor; the models have 36."""
    used, _ = measured(apart, tmp_path)
    assert used <= ELEMENTS * 2


def test_recipes_of_recipes_take_a_tensor_for_each_stage(apart: Apart, tmp_path: Path) -> None:
    used, predicted = measured(apart, tmp_path, stages=3)
    assert predicted == 2 * ELEMENTS * 2
    assert used <= predicted + ELEMENTS * 2


def test_a_method_of_whole_tensors_takes_what_is_predicted(apart: Apart, tmp_path: Path) -> None:
    used, predicted = measured(apart, tmp_path, "whole")
    buffer, set_up = ELEMENTS * 2, 8_000_000
    assert predicted == ELEMENTS * 4 * (3 + 6)
    assert 0.5 * predicted < used < predicted + buffer + set_up
