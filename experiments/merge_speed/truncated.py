"""Candidates of STAR beside copies: one tensor of each shape of a model, over the range of its coefficient.

What a candidate costs depends on how far the number of triples that it keeps is from the next partial sum that is
stored, so many values of eta are timed. Several tensors of a shape take turns, more than fit a cache, as in a model.
Seconds are of the processor on one thread, beside the copies of a floor by the same clock.

Run from the repository root: ``python -m experiments.merge_speed.truncated``
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from evomerge import methods
from evomerge.methods import TensorContext
from evomerge.methods._shared.spectral import products
from experiments.machine import processor
from experiments.merge_speed.decomposing import Shape, tensors
from experiments.merge_speed.models import SIZES, shapes
from experiments.merge_speed.page import AIMS

ETAS = (0.4, *np.linspace(0.1, 0.99, 12).round(3).tolist())
"""The paper's, and the range that a search takes."""
PRODUCTS = ("float32", "bfloat16")
"""Types of the factors, the second where this processor multiplies them."""
# Bytes of tensors that take turns, and rows of the longest: the time of an embedding grows with its rows.
_CACHES, _ROWS = 1 << 26, 12288
_CONTEXT = TensorContext("x", kind="mlp")


def measure(shape: Shape, sums: int, turns: int, product: str, room: int = _CACHES) -> list[float]:
    """Least seconds of a candidate of one tensor, for each of :data:`ETAS`.

    Args:
        shape: The tensor's.
        sums: Number of partial sums.
        turns: Number of candidates of each eta.
        product: One of :data:`PRODUCTS`.
        room: Bytes of the tensors that take turns.
    """
    star = methods.load("star")
    resolved = star.resolve({"sums": sums})
    native = products.multiplies_bfloat16()
    base, *models = tensors(shape)
    first = star.sources(_CONTEXT, base, models, resolved)
    own = sum(array.nbytes for array in first.prepared.values()) + 5 * base.nbytes
    copies = [
        methods.TensorSources(base.clone(), models, resolved, {n: a.clone() for n, a in first.prepared.items()})
        for _ in range(math.ceil(room / own))
    ]
    out = torch.empty_like(base)

    def merge(eta: float) -> None:
        for sources in copies:
            star.merge(_CONTEXT, sources, {"weight": (0.3, 0.4, 0.5), "eta": eta, "lambda": 0.9}, out)

    with patch.object(products, "multiplies_bfloat16", lambda: native and product == "bfloat16"):
        merge(0.4)
        return [min(_seconds(lambda eta=eta: merge(eta)) for _ in range(turns)) / len(copies) for eta in ETAS]


def copy_bandwidth() -> float:
    """Bytes read and written per second of the processor by the best of several large copies."""
    source, target = (torch.ones(1 << 28, dtype=torch.uint8) for _ in range(2))
    return 2 * source.numel() / min(_seconds(lambda: target.copy_(source)) for _ in range(8))


def _seconds(work: Any) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def study(size: str, sums: Sequence[int], turns: int) -> Iterator[dict[str, Any]]:
    """Measures everything; gives what there is after every shape.

    Args:
        size: A key of :data:`~experiments.merge_speed.models.SIZES`.
        sums: Numbers of partial sums.
        turns: Number of candidates of each eta.
    """
    counts = Counter(shape for shape in shapes(SIZES[size]).values() if len(shape) == 2)
    found: dict[str, Any] = {
        "size": size, "date": datetime.now(UTC).date().isoformat(), "torch": version("torch"), "turns": turns,
        "machine": f"{processor()}, {len(os.sched_getaffinity(0))} cores", "etas": ETAS, "shapes": [],
    }  # fmt: skip
    for (rows, columns), count in sorted(counts.items()):
        timed = (min(rows, _ROWS), columns)
        entry = {"shape": (rows, columns), "count": count * rows / timed[0], "bandwidth": copy_bandwidth()}
        entry["seconds"] = {f"{own}, {name}": measure(timed, own, turns, name) for own in sums for name in PRODUCTS}
        found["shapes"].append(entry)
        yield found


def page(found: dict[str, Any]) -> str:
    """What was measured, as Markdown."""
    bandwidth = max(entry["bandwidth"] for entry in found["shapes"])
    # Three experts and the base are read and one model is written, in bfloat16.
    floor = 10 * sum(
        entry["count"] * math.prod((min(entry["shape"][0], _ROWS), entry["shape"][1])) for entry in found["shapes"]
    )
    lines = [
        f"# Candidates of STAR beside copies, {found['size']}",
        "",
        f"Measured {found['date']} on {found['machine']}, one thread; torch {found['torch']}.",
        "Three bfloat16 experts and their base; tensors of each shape, as often as the model has it, more of them than "
        f"fit a cache. Milliseconds of the processor, the least of {found['turns']} turns, and in brackets floors: the "
        f"time to read four models and to write one at {bandwidth / 1e9:.1f} GB/s read and written, which is "
        f"{floor / bandwidth * 1e3:.0f} ms. The aim is {AIMS['star']:.0f} floors.",
        "",
        "| sums, products | " + " | ".join(f"eta {eta:.2f}" for eta in found["etas"]) + " | mean of the range |",
        "|" + "---|" * (len(found["etas"]) + 2),
    ]
    for way in found["shapes"][0]["seconds"]:
        total = sum(entry["count"] * np.array(entry["seconds"][way]) for entry in found["shapes"])
        cells = [f"{own * 1e3:.0f} ({own * bandwidth / floor:.1f})" for own in (*total, total[1:].mean())]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="135m")
    parser.add_argument("--sums", nargs="*", type=int, default=[3])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results/spectral"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"{arguments.size}-star"
    for found in study(arguments.size, arguments.sums, arguments.turns):
        path.with_suffix(".md").write_text(page(found), encoding="utf-8")
        path.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
