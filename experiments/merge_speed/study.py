"""Seconds per candidate of every method, beside the floor, torch, and mergekit on the same folders.

The floor of a method is the time that it takes to read its models once and to write one, at the copy bandwidth that is
measured in the same run. Everything is measured in this one call; see the README beside this file. With ``--authors``
methods are timed beside their authors' own code instead, layer after layer.

Run from the repository root: ``python -m experiments.merge_speed.study --mergekit PYTHON``
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from evomerge import methods
from evomerge.errors import InputError
from evomerge.kernels import in_use
from evomerge.merging import Checkpoints, LiveModel, Merger, PreparedSettings, merge_to_folder
from evomerge.recipe import Group, ParameterGroups, Recipe
from evomerge.run.recipe_files.writing import as_mergekit
from experiments.machine import processor
from experiments.merge_speed.bare import DECOMPOSED, bare_seconds
from experiments.merge_speed.beside import authors_page, beside_authors
from experiments.merge_speed.models import EXPERTS, SIZES, generate
from experiments.merge_speed.officials import OFFICIALS
from experiments.merge_speed.page import write_page
from experiments.merge_speed.recipes import KINDS, nudged, recipe_of

TRAINED = Path("experiments/smollm2/models")


def copy_bandwidth(device: str) -> tuple[float, float]:
    """Bytes read and written by the best of several large copies within a device's memory.

    Returns:
        Per second by the clock, and per second of the processor on all threads together.
    """
    source, target = (torch.ones(1 << 28, dtype=torch.uint8, device=device) for _ in range(2))
    clock, processor = zip(*(_both(lambda: target.copy_(source)) for _ in range(8)), strict=True)
    return 2 * source.numel() / min(clock), 2 * source.numel() / min(processor)


def beside_copies(work: Any, repeats: int, device: str) -> dict[str, list[float]]:
    """Seconds of pieces of work, and the copy bandwidth just before, amid and just after them: machines are noisy.

    The same of the processor too, which other programs on the machine change less.
    """
    bandwidth, seconds = [copy_bandwidth(device)], []
    for step in range(1, repeats + 1):
        seconds.append(_both(lambda step=step: work(step)))
        if step == repeats // 2:
            bandwidth.append(copy_bandwidth(device))
            work(0)  # so that the next one finds the caches as it would without the copies
    bandwidth.append(copy_bandwidth(device))
    named = {"every": seconds, "bandwidth": bandwidth}
    return {
        name + suffix: [own[kind] for own in found]
        for name, found in named.items()
        for kind, suffix in enumerate(("", "_processor"))
    }


def measure(
    name: str, folders: list[Path], layers: int, repeats: int, store: Path, device: str = "cpu"
) -> dict[str, Any]:
    """Times one method: the first candidate, later ones, and ones that change one layer."""
    recipe = recipe_of(name, folders, layers)
    merger = Merger(Checkpoints.open(recipe), device=device, prepared=PreparedSettings(str(store)))
    live = LiveModel.load(folders[0], dtype="bfloat16", device=device)
    first = _timed(lambda: live.install(merger, recipe))
    live.install(merger, nudged(recipe, repeats + 1))
    beside = beside_copies(lambda step: live.install(merger, nudged(recipe, step)), repeats, device)
    live.install(merger, recipe)
    one = [
        _timed(lambda s=step: live.install(merger, nudged(recipe, s, slice(7, 8)))) for step in range(1, repeats + 1)
    ]
    read = len(recipe.sources) + (recipe.base is not None)
    nbytes = sum(info.nbytes for info in merger.checkpoints.reference.specs.values())
    found = {
        "bytes": nbytes * (read + 1), "first": first, **beside, "one_layer": one,
        "model_bytes": nbytes, "prepared_bytes": sum(path.stat().st_size for path in store.rglob("*part-*")),
        "kernels": in_use(device).name, "why": in_use(device).reason,
    }  # fmt: skip
    if name in DECOMPOSED and device == "cpu":
        matrices = [spec.shape for spec in merger.checkpoints.reference.specs.values() if len(spec.shape) == 2]
        shapes = [(height, width) for height, width in matrices]
        for label, threads in (("bare", torch.get_num_threads()), ("bare_one_thread", 1)):
            found[label] = bare_seconds(name, shapes, len(recipe.sources), threads)
    return found


def in_a_process(name: str, arguments: argparse.Namespace, kernels: str | None) -> dict[str, Any]:
    """Measures a method in a fresh process, with torch in place of the compiled kernels if asked."""
    words = ["--only", name, "--models", str(arguments.models), "--threads", str(arguments.threads)]
    words += ["--device", arguments.device]
    environment = {**os.environ, **({"EVOMERGE_KERNELS": kernels} if kernels else {})}
    repeats = arguments.repeats if kernels is None else min(3, arguments.repeats)
    command = [sys.executable, "-m", "experiments.merge_speed.study", *words, "--repeats", str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def with_mergekit(python: Path, name: str, folders: list[Path], layers: int, threads: int) -> dict[str, float] | None:
    """Times mergekit's own program on the same work, from folders to a folder; None where it has no such method."""
    recipe = recipe_of(name, folders, layers)
    # Where mergekit rescales otherwise, its way is taken here.
    options = recipe.options | ({"rescale": "l1"} if recipe.options.get("rescale") == "inverse" else {})
    groups = ParameterGroups((Group("all"),))
    flat = replace(recipe, options=options, groups=groups, coefficients=_row(recipe))
    checkpoints = Checkpoints.open(flat)
    try:
        config = as_mergekit(flat, checkpoints)
    except InputError:
        return None
    program = str(python.absolute().parent / "mergekit-yaml")
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}

    def run(*words: str) -> float:
        return _timed(lambda: subprocess.run([program, *words], capture_output=True, check=True, env=environment))

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yml"
        file.write_text(config, encoding="utf-8")
        start = min(run("--help") for _ in range(2))
        words = (str(file), str(Path(folder) / "theirs"), "--no-copy-tokenizer", "--quiet", "-j", str(threads))
        theirs = run(*words)
        ours = _timed(lambda: merge_to_folder(flat, Path(folder) / "ours", merger=Merger(checkpoints)))
    return {"whole": theirs, "starting": start, "ours_to_a_folder": ours}


def study(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures everything; returns what is written as JSON."""
    folders, layers = _folders(arguments)
    found = _about(arguments, folders)
    arguments.models = folders[0].parent
    for name in arguments.methods or methods.names():
        entry: dict[str, Any] = {"native": in_a_process(name, arguments, None)}
        if arguments.torch is None or name in arguments.torch:
            entry["torch"] = in_a_process(name, arguments, "torch")
        if arguments.mergekit and (arguments.beside is None or name in arguments.beside):
            entry["mergekit"] = with_mergekit(arguments.mergekit, name, folders, layers, arguments.threads)
        found["methods"][name] = entry
        print(name, json.dumps(entry), flush=True)
        _write(found, arguments)
    if arguments.mergekit:
        ask = "from importlib.metadata import version as v; print(v('mergekit'), v('torch'))"
        said = subprocess.run([arguments.mergekit, "-c", ask], capture_output=True, text=True, check=True).stdout
        found["versions"]["mergekit"], found["versions"]["torch beside mergekit"] = said.split()
    return found


def beside(arguments: argparse.Namespace) -> None:
    """Measures methods beside their authors' own code, and writes after each."""
    folders, layers = _folders(arguments)
    chosen = range(min(layers, arguments.layers or layers))
    found = {**_about(arguments, folders), "layers": len(chosen), "kinds": arguments.kinds}
    for word in arguments.methods or [word for word, own in OFFICIALS.items() if not own.slow]:
        entry = beside_authors(word, arguments.authors, folders, chosen, arguments.repeats, arguments.kinds)
        found["methods"][word] = entry
        print(word, json.dumps(entry), flush=True)
        arguments.out.mkdir(parents=True, exist_ok=True)
        path = arguments.out / f"{arguments.size}-authors"
        path.with_suffix(".md").write_text(authors_page(found), encoding="utf-8")
        path.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _about(arguments: argparse.Namespace, folders: list[Path]) -> dict[str, Any]:
    """What was measured when on what, and no methods yet."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "models": "SmolLM2-135M and experts" if folders[0].parent == TRAINED else arguments.size,
        "machine": _machine(arguments.device),
        "threads": arguments.threads,
        "versions": {"python": platform.python_version()} | {n: version(n) for n in ("torch", "transformers")},
        "methods": {},
    }


def _write(found: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Writes what has been measured, after every method: so that a study that is stopped keeps it."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    name = arguments.size if arguments.device == "cpu" else f"{arguments.size}-{arguments.device}"
    write_page(found, arguments.out / f"{name}.md")
    (arguments.out / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _folders(arguments: argparse.Namespace) -> tuple[list[Path], int]:
    """Base and experts, and their number of layers: those given, the trained ones if they are there, else random."""
    root = arguments.models
    if root is None and arguments.size == "135m" and (TRAINED / "base").is_dir():
        root = TRAINED
    root = root or Path(tempfile.gettempdir()) / f"evomerge-merge-speed-{arguments.size}"
    trained = sorted(root.glob("expert_*"))[: len(EXPERTS)]
    folders = [root / "base", *trained] if trained else list(generate(arguments.size, root))
    config = json.loads((folders[0] / "config.json").read_text(encoding="utf-8"))
    return folders, int(config["num_hidden_layers"])


def _row(recipe: Recipe) -> dict[str, np.ndarray]:
    return {name: array[:1] for name, array in recipe.coefficients.items()}


def _machine(device: str) -> str:
    own = f"{processor()}, {len(os.sched_getaffinity(0))} cores"
    return own if device == "cpu" else f"{torch.cuda.get_device_name(device)} beside {own}"


def _timed(work: Any) -> float:
    return _both(work)[0]


def _both(work: Any) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - clock, time.process_time() - processor


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="135m", help="generated if there are no trained models")
    parser.add_argument("--models", type=Path, help="a folder with base, one, two and three")
    parser.add_argument("--methods", nargs="*", help="which, as NAME or NAME:OPTION=VALUE,...; all if none")
    parser.add_argument("--mergekit", type=Path, help="the Python of an environment with mergekit")
    parser.add_argument("--device", default="cpu", help="where candidates are merged; mergekit merges on the CPU")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--torch", nargs="*", help="which to measure without compiled kernels as well; default: all")
    parser.add_argument("--beside", nargs="*", help="which to give to mergekit; default: all that it has as well")
    parser.add_argument("--authors", type=Path, help="a folder of checkouts: times their code and ours by turns")
    parser.add_argument("--layers", type=int, help="with --authors: the first layers alone; all if not given")
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS), help="with --authors: of these alone")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("results/merge_speed"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.only:
        folders, layers = _folders(arguments)
        with tempfile.TemporaryDirectory() as store:
            found = measure(arguments.only, folders, layers, arguments.repeats, Path(store), arguments.device)
            print(json.dumps(found))
        return
    if arguments.authors:
        beside(arguments)
        return
    _write(study(arguments), arguments)


if __name__ == "__main__":
    main()
