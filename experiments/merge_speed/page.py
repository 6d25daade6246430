"""The table of a measurement, in words that say what is beside what."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

# Seconds per candidate over the floor that were aimed at.
AIMS = {"linear": 3.0, "task_arithmetic": 3.0, **dict.fromkeys(("star", "tsvm", "iso_c", "iso_cts"), 10.0)}
AIM_OF_OTHERS = 6.0
# Seconds per candidate over those of its bare decompositions.
AIM_OF_DECOMPOSITIONS = 1.2


def write_page(found: dict[str, Any], path: Path) -> None:
    """Writes a measurement as Markdown.

    Args:
        found: What the study measured.
        path: The file.
    """
    copied = [one for entry in found["methods"].values() for one in entry["native"]["bandwidth"]]
    bandwidth, low, high = median(copied), min(copied), max(copied)
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    lines = [
        f"# Seconds per candidate, {found['models']}",
        "",
        f"Measured {found['date']} on {found['machine']}, {found['threads']} threads; {versions}.",
        f"Three bfloat16 experts and their base, merged in float32 into a live bfloat16 model. Copy bandwidth "
        f"{bandwidth / 1e9:.1f} GB/s, read and written (median over the run; {low / 1e9:.1f} to {high / 1e9:.1f}).",
        "Medians over candidates; ratios are to the floor, the time to read the method's models once and to write one "
        "at the bandwidth of copies within the same memory in between the candidates (median). *Copies* is the ratio "
        "to copying one model. The CPU ratio is of the least seconds of the processor on all threads, which other "
        "programs change less.",
        "",
        "| method | floor, ms | every tensor, ms | ratio | CPU ratio | aim | copies | one layer, ms | first, s "
        "| prepared, MB | torch, ms |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, entry in found["methods"].items():
        own = entry["native"]
        floor, every = own["bytes"] / median(own["bandwidth"]), median(own["every"])
        copies = every / (2 * own["model_bytes"] / median(own["bandwidth"]))
        torch = f"{median(entry['torch']['every']) * 1e3:.0f}" if "torch" in entry else ""
        aim = "" if "bare" in own else f"{AIMS.get(name.partition(':')[0], AIM_OF_OTHERS):.0f}"
        lines.append(
            f"| `{name}` | {_milliseconds(floor)} | {_milliseconds(every)} | {every / floor:.1f} "
            f"| {_of_processor(own)} | {aim} | {copies:.1f} | {median(own['one_layer']) * 1e3:.1f} "
            f"| {own['first']:.2f} | {own['prepared_bytes'] / 1e6:.0f} | {torch} |"
        )
    kernels = {(entry["native"]["kernels"], entry["native"]["why"]) for entry in found["methods"].values()}
    lines += [
        "",
        f"Kernels: {'; '.join(f'{name} ({why})' for name, why in sorted(kernels))}; torch: the same without them. The "
        "first candidate also reads the files for the first time and prepares what does not depend on coefficients.",
    ]
    lines += _decompositions(found)
    theirs = {name: entry["mergekit"] for name, entry in found["methods"].items() if entry.get("mergekit")}
    if theirs:
        lines += [
            "",
            "## Beside mergekit",
            "",
            "`mergekit-yaml` on the same folders, from files to a folder, as a program and without the seconds that it "
            "takes to start (`--help`); and ours to a folder. The last column is what a search saves per candidate.",
            "",
            "| method | program, s | without start, s | ours to a folder, s | ours per candidate, s | times faster |",
            "|---|---|---|---|---|---|",
        ]
        for name, seconds in theirs.items():
            every = median(found["methods"][name]["native"]["every"])
            work = seconds["whole"] - seconds["starting"]
            lines.append(
                f"| `{name}` | {seconds['whole']:.1f} | {work:.1f} | {seconds['ours_to_a_folder']:.2f} | "
                f"{every:.3f} | {work / every:.0f} |"
            )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _of_processor(own: dict[str, Any]) -> str:
    """Least seconds of the processor over those of the floor; nothing on a GPU's page and on pages from before."""
    if "every_processor" not in own:
        return ""
    return f"{min(own['every_processor']) * max(own['bandwidth_processor']) / own['bytes']:.1f}"


def _decompositions(found: dict[str, Any]) -> list[str]:
    """The table of methods that decompose matrices for each candidate; no lines where there are none."""
    entries = {name: entry["native"] for name, entry in found["methods"].items() if "bare" in entry["native"]}
    if not entries:
        return []
    lines = [
        "",
        "## Beside bare decompositions",
        "",
        "`torch.linalg.svd` in float32 of the matrices that a candidate decomposes, and nothing else; ours run on one "
        f"thread, so that results do not depend on their number. The aim is {AIM_OF_DECOMPOSITIONS} times as long.",
        "",
        "| method | a candidate, s | bare, s | ratio | bare on one thread, s | ratio |",
        "|---|---|---|---|---|---|",
    ]
    for name, own in entries.items():
        every, bare, alone = median(own["every"]), own["bare"], own["bare_one_thread"]
        lines.append(
            f"| `{name}` | {every:.1f} | {bare:.1f} | {every / bare:.2f} | {alone:.1f} | {every / alone:.2f} |"
        )
    return lines


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.0f}" if seconds >= 0.01 else f"{seconds * 1e3:.2f}"
