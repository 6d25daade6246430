"""Which kernel merges fastest: blocked torch, torch.compile, numba, or the compiled kernels of evomerge.

Run from the repository root: ``python -m experiments.merge_kernels.study``. The tensors have the shapes of an embedding
and two layers of SmolLM2-135M, random bfloat16 values, three experts. numba is measured where it is installed.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from evomerge.kernels import Delta, histogram_of, in_use, random_key, torch_only
from evomerge.methods._shared.sparsify.top_k import TopK, thresholds_of_tensor
from experiments.machine import processor
from experiments.merge_kernels.candidates import METHODS, Work, by_evomerge, by_torch_compile

LAYER = [(576, 576), (192, 576), (192, 576), (576, 576), (1536, 576), (1536, 576), (576, 1536)]
SHAPES = [(49152, 576), *LAYER, *LAYER]
Run = Callable[[str, Work], None]


def works() -> list[Work]:
    """Random tensors, the same every time. Fine-tuning changes weights by little, so many deltas are equal or zero."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for place, (rows, columns) in enumerate(SHAPES):
        base = (0.02 * torch.randn(rows * columns, generator=generator)).bfloat16()
        models = [(base.float() + 3e-4 * torch.randn(base.shape, generator=generator)).bfloat16() for _ in range(3)]
        thresholds = []
        for model in models:
            delta = Delta(base, model)
            thresholds += thresholds_of_tensor([TopK(delta, histogram_of(delta), base.numel() // 2)], "exact")
        keys = [random_key(0, expert, place) for expert in range(3)]
        found.append(Work(base, models, thresholds, keys, torch.empty_like(base)))
    return found


def least(repeats: int, run: Callable[[], Any]) -> float:
    """The least of several wall times in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def copy_bandwidth() -> float:
    """Bytes read and written per second by copying memory much larger than caches."""
    source = torch.ones(1 << 27, dtype=torch.int16)
    target = torch.empty_like(source)
    return 2 * source.nbytes / least(7, lambda: target.copy_(source))


def candidates() -> dict[str, Run]:
    """What is compared."""

    def torch_form(method: str, work: Work) -> None:
        with torch_only():
            by_evomerge(method, work)

    found: dict[str, Run] = {"blocked torch": torch_form, "torch.compile": by_torch_compile()}
    with contextlib.suppress(ImportError):
        from experiments.merge_kernels import by_numba

        found["numba"] = by_numba.run
    if in_use().name == "native":
        found["native C"] = by_evomerge
    return found


def measure(repeats: int) -> dict[str, Any]:
    """Seconds, seconds of the first call, and how far from the floor, per candidate and method."""
    tensors = works()
    moved = sum(5 * work.base.nbytes for work in tensors)
    rows, bandwidth = [], 0.0
    for name, run in candidates().items():
        for method in METHODS:
            first = least(1, lambda run=run, method=method: run(method, tensors[-1]))
            bandwidth = max(bandwidth, copy_bandwidth())
            seconds = least(repeats, lambda run=run, method=method: [run(method, work) for work in tensors])
            rows.append(
                {
                    "kernel": name,
                    "method": method,
                    "seconds": seconds,
                    "first_call_seconds": first,
                    "different_from_torch": different(run, method, tensors[1]),
                }
            )
            print(f"{name:14} {method:16} {seconds * 1e3:8.1f} ms", flush=True)
    for row in rows:
        row["floors"] = row["seconds"] * bandwidth / moved
    elements = sum(work.base.numel() for work in tensors)
    return {
        "machine": machine(),
        "bytes_moved": moved,
        "bytes_per_second": bandwidth,
        "elements": elements,
        "rows": rows,
    }


def different(run: Run, method: str, work: Work) -> float:
    """The fraction of one tensor's elements that differ from what the torch form gives."""
    run(method, work)
    got = work.out.clone()
    with torch_only():
        by_evomerge(method, work)
    return float((got != work.out).float().mean())


def machine() -> dict[str, Any]:
    """Where and with what this was measured."""
    versions = {}
    for package in ("torch", "numba"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "kernels": in_use().name,
        "compile_seconds_native": compile_seconds(),
        **versions,
    }


def compile_seconds() -> float | None:
    """What compiling the native kernels takes, once per machine and version."""
    import tempfile

    from evomerge.kernels.native import library

    if in_use().name != "native":
        return None
    with tempfile.TemporaryDirectory() as folder:
        compiler = in_use().reason.removeprefix("compiled by ")
        return least(1, lambda: library.build(compiler, Path(folder) / "kernels.so"))


def table(result: dict[str, Any]) -> str:
    """The result as a page of markdown."""
    machine = result["machine"]
    lines = [
        "# Kernels for merging, compared",
        "",
        f"{result['elements'] / 1e6:.0f} million elements in {len(SHAPES)} tensors, three bfloat16 experts and a base, "
        f"bfloat16 out; {machine['threads']} threads of {machine['processor']}; torch {machine['torch']}"
        + (f", numba {machine['numba']}" if "numba" in machine else ", no numba")
        + f"; {machine['date']}.",
        "",
        "A floor is the time to move the bytes that must be moved, four models read and one written, at the bandwidth"
        f" of copying, {result['bytes_per_second'] / 1e9:.0f} GB/s in the same run. The first call includes"
        " compilation; the native kernels are compiled once per machine, in"
        f" {machine['compile_seconds_native'] or 0:.1f} s. Thresholds are given. Least of several runs.",
        "",
        "| kernel | method | ms | floors | first call, s | elements that differ from torch's |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['kernel']} | {row['method']} | {row['seconds'] * 1e3:.1f} | {row['floors']:.1f} |"
        f" {row['first_call_seconds']:.2f} | {row['different_from_torch']:.2%} |"
        for row in result["rows"]
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and writes ``results/merge_kernels``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("results/merge_kernels"))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with torch.no_grad():
        result = measure(arguments.repeats)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "kernels.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "kernels.md").write_text(table(result), encoding="utf-8")


if __name__ == "__main__":
    main()
