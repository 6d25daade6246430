"""Candidates that decompose every matrix, beside the bare decompositions: one tensor of each shape of a model.

A whole model takes minutes for each candidate, and most of its matrices have the same few shapes. So one of each shape
is merged, and counts as often as the model has it. Seconds are of the processor on one thread, the least of some turns,
in which ours and ``torch.linalg.svd`` alternate: so other programs on the machine change little.

Run from the repository root: ``python -m experiments.merge_speed.decomposing``
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from evomerge.methods import TensorContext
from experiments.machine import processor
from experiments.merge_speed.bare import DECOMPOSED, Shape
from experiments.merge_speed.models import SIZES, shapes
from experiments.merge_speed.page import AIM_OF_DECOMPOSITIONS
from experiments.merge_speed.recipes import VALUES, method_of

_WEIGHT, _DELTA = 0.02, 3e-4
_MODELS = 3
_CONTEXT = TensorContext("x", kind="mlp")
Timed = dict[str, list[float]]
"""Seconds of every turn, of ours and of the bare decompositions."""


def tensors(shape: Shape) -> list[torch.Tensor]:
    """A base and its models, bfloat16."""
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(shape, generator=generator).mul_(_WEIGHT).bfloat16()
    noise = (torch.randn(shape, generator=generator).mul_(_DELTA) for _ in range(_MODELS))
    return [base, *((base.float() + own).bfloat16() for own in noise)]


def measure(word: str, shape: Shape, turns: int) -> Timed:
    """Times candidates of one tensor, and the decompositions of the matrices that the paper's code decomposes.

    Args:
        word: A key of :data:`~experiments.merge_speed.bare.DECOMPOSED`.
        shape: The tensor's.
        turns: Number of candidates.
    """
    method, options = method_of(word)
    base, *models = tensors(shape)
    sources = method.sources(_CONTEXT, base, models, options)
    point: dict[str, Any] = {c.name: VALUES.get(c.name, c.neutral) for c in method.coefficients(options)}
    given = [torch.randn(own, generator=torch.Generator().manual_seed(0)) for own in DECOMPOSED[word](shape, _MODELS)]
    out = torch.empty_like(base)
    found: Timed = {"ours": [], "bare": []}
    for _ in range(turns):
        found["ours"].append(_seconds(lambda: method.merge(_CONTEXT, sources, point, out)))
        found["bare"].append(_seconds(lambda: [torch.linalg.svd(own, full_matrices=False) for own in given]))
    return found


def _seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def page(found: dict[str, Any]) -> str:
    """What was measured, as Markdown."""
    lines = [
        f"# Candidates that decompose every matrix, {found['size']}",
        "",
        f"Measured {found['date']} on {found['machine']}, one thread; torch {found['torch']}.",
        "Three experts; one tensor of each shape, as often as the model has it. Seconds of the processor, the least of "
        f"{found['turns']} turns; *bare* is `torch.linalg.svd` in float32 of the matrices that a candidate decomposes, "
        f"and nothing else. The aim is {AIM_OF_DECOMPOSITIONS} times as long for a whole model.",
        "",
        "| method | tensor | of them | a candidate's, s | bare, s | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for word, own in found["methods"].items():
        sums = {"ours": 0.0, "bare": 0.0}
        for entry in own:
            least = {name: min(entry[name]) for name in sums}
            for name in sums:
                sums[name] += entry["count"] * least[name]
            lines.append(f"| `{word}` | {' x '.join(map(str, entry['shape']))} | {entry['count']} | {_row(least)} |")
        lines.append(f"| `{word}` | **whole model** | {sum(entry['count'] for entry in own)} | {_row(sums)} |")
    return "\n".join(lines) + "\n"


def _row(seconds: dict[str, float]) -> str:
    return f"{seconds['ours']:.3g} | {seconds['bare']:.3g} | {seconds['ours'] / seconds['bare']:.2f}"


def study(size: str, words: Sequence[str], turns: int) -> Iterator[dict[str, Any]]:
    """Measures everything; gives what there is after every shape."""
    counts = Counter(shape for shape in shapes(SIZES[size]).values() if len(shape) == 2)
    found: dict[str, Any] = {
        "size": size, "date": datetime.now(UTC).date().isoformat(), "torch": version("torch"), "turns": turns,
        "machine": f"{processor()}, {len(os.sched_getaffinity(0))} cores", "methods": {word: [] for word in words},
    }  # fmt: skip
    for shape, count in sorted(counts.items()):
        for word in words:
            timed = measure(word, (shape[0], shape[1]), turns)
            found["methods"][word].append({"shape": shape, "count": count, **timed})
        yield found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="135m")
    parser.add_argument("--methods", nargs="*", choices=DECOMPOSED, default=list(DECOMPOSED))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results/spectral"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"{arguments.size}-decomposed"
    for found in study(arguments.size, arguments.methods, arguments.turns):
        path.with_suffix(".md").write_text(page(found), encoding="utf-8")
        path.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
