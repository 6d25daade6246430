"""The committed study of the embedded example: several base seeds, one two-objective search each.

`python experiments/example/study.py --work FOLDER --seeds 0,1,2` builds each family in FOLDER/seedN/family, searches it
with evomerge's command line into FOLDER/seedN/run, and writes summary.md, summary.json and front.png to
results/example. Whatever is there already is not done again.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import matplotlib as mpl
from example_family.recipe import MEMBERS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BASE, *EXPERTS = (member.name for member in MEMBERS)
T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
"""Student's two-sided 95 % quantile by number of seeds."""


def run(command: list[str], what: str) -> None:
    """Runs a command of this study and stops the study when it fails."""
    print(f"{what}: {' '.join(command)}", file=sys.stderr, flush=True)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    code = subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode
    if code:
        sys.exit(code)


def study_seed(work: Path, seed: int, evaluations: int) -> dict[str, Any]:
    """Builds and searches one family, as far as that is still to be done, and returns its `front.json`."""
    family, folder = work / f"seed{seed}" / "family", work / f"seed{seed}" / "run"
    run([sys.executable, str(HERE / "build.py"), "--seed", str(seed), "--out", str(family)], f"seed {seed}, family")
    search = [
        *(sys.executable, "-m", "evomerge", "search", "experiment=example"),
        f"models=[{','.join(str(family / name) for name in EXPERTS)}]",
        f"base={family / BASE}",
        f"task_path=[{family / 'tasks'}]",
        f"evaluations={evaluations}",
        f"seed={seed}",
        f"run_dir={folder}",
    ]
    run(search, f"seed {seed}, search")
    return json.loads((folder / "front.json").read_text(encoding="utf-8"))


def summarise_seed(front: dict[str, Any]) -> dict[str, Any]:
    """Returns what the study reports of one run: test scores, in per cent.

    For each objective the member is the one with the best *search* score, so that test items choose nothing.
    """
    labels = [objective["label"] for objective in front["objectives"]]
    tested = [member for member in front["members"] if all((member["test"] or {}).get(label) for label in labels)]
    baselines = {row["name"]: {label: percent(row["test"][label]) for label in labels} for row in front["baselines"]}
    chosen = {}
    for label in labels:
        member = max(tested, key=lambda member, label=label: member["search"][label]["mean"])
        difference = {key: 100 * member["difference_to_best_expert"][label][key] for key in ("mean", "low", "high")}
        scores = {other: percent(member["test"][other]) for other in labels}
        chosen[label] = {"id": member["id"], "test": scores, "difference_to_best_expert": difference}
    return {
        "baselines": baselines,
        "best_by_search_score": chosen,
        "finalists": [{label: percent(member["test"][label]) for label in labels} for member in tested],
        "finalists_that_beat_the_best_expert": sum(any(member["beats_best_expert"].values()) for member in tested),
    }


def percent(interval: dict[str, float]) -> float:
    """Returns an interval's mean in per cent."""
    return 100 * interval["mean"]


def across_seeds(seeds: dict[int, dict[str, Any]], label: str) -> dict[str, float]:
    """Returns mean and 95 % t-interval, over base seeds, of the chosen member's lead over the best expert."""
    leads = [seed["best_by_search_score"][label]["difference_to_best_expert"]["mean"] for seed in seeds.values()]
    centre = mean(leads)
    half = T_95[len(leads)] * stdev(leads) / len(leads) ** 0.5 if len(leads) > 1 else float("inf")
    return {"mean": centre, "low": centre - half, "high": centre + half}


def markdown(summary: dict[str, Any], command: str) -> str:
    """Returns the text of `summary.md`."""
    labels, seeds = summary["objectives"], summary["seeds"]
    lines = [
        "# The embedded example over several base seeds",
        "",
        "Accuracy on held-out items, in per cent. `best` is the member with the best search score on that objective;",
        "the bracket is the 95 % interval of its paired difference to the best expert on the same items.",
        "",
        f"| seed | model | {' | '.join(labels)} | difference to the best expert |",
        f"|---|---|{'---|' * len(labels)}---|",
    ]
    for seed, found in seeds.items():
        for name, scores in found["baselines"].items():
            lines.append(f"| {seed} | {name} | {' | '.join(f'{scores[label]:.1f}' for label in labels)} | |")
        for label, member in found["best_by_search_score"].items():
            lead = member["difference_to_best_expert"]
            cells = " | ".join(f"{member['test'][other]:.1f}" for other in labels)
            text = f"{lead['mean']:+.1f} [{lead['low']:+.1f}, {lead['high']:+.1f}] on {label}"
            lines.append(f"| {seed} | best {label} ({member['id']}) | {cells} | {text} |")
    lines += ["", "| objective | mean lead over the best expert, 95 % t-interval over seeds |", "|---|---|"]
    for label, lead in summary["lead_over_best_expert"].items():
        lines.append(f"| {label} | {lead['mean']:+.1f} [{lead['low']:+.1f}, {lead['high']:+.1f}] |")
    counts = ", ".join(
        f"{found['finalists_that_beat_the_best_expert']} of {len(found['finalists'])} (seed {seed})"
        for seed, found in seeds.items()
    )
    lines += ["", f"Finalists that beat the best expert on at least one objective: {counts}.", ""]
    lines += ["![Fronts on held-out items](front.png)", "", f"Made by `{command}` {surroundings()}.", ""]
    return "\n".join(lines)


def surroundings() -> str:
    """Returns when and on what the study was run."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "lm-eval", "pymoo"))
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, {libraries}"
    return f"on {date.today().isoformat()}, {machine}"


def draw(summary: dict[str, Any], path: Path) -> None:
    """Draws the finalists and the baselines of every seed on held-out items, one panel per seed."""
    mpl.use("agg")
    from matplotlib import pyplot as plt  # the backend has to be chosen first

    first, second = summary["objectives"][:2]
    panels = summary["seeds"]
    figure, axes = plt.subplots(1, len(panels), figsize=(4.2 * len(panels), 4), sharex=True, sharey=True, squeeze=False)
    for axis, (seed, found) in zip(axes[0], panels.items(), strict=True):
        for marker, (name, scores) in zip("sDPXv^", found["baselines"].items(), strict=False):
            label = "task arithmetic, tuned" if name.startswith("scaled:") else name  # each seed has a scale of its own
            axis.scatter(scores[first], scores[second], marker=marker, s=60, label=label, zorder=3)
        finalists = sorted(found["finalists"], key=lambda scores: scores[first])
        xs, ys = ([scores[label] for scores in finalists] for label in (first, second))
        axis.plot(xs, ys, "o-", color="0.3", linewidth=0.8, markersize=5, label="front", zorder=2)
        axis.set(title=f"base seed {seed}", xlabel=f"{first} (%)")
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel(f"{second} (%)")
    axes[0][-1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=140, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Reads the command line, does what is missing, writes the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=HERE / "work", help="for families and runs")
    parser.add_argument("--seeds", default="0,1,2", help="base seeds, 2 to 10 of them (default: 0,1,2)")
    parser.add_argument("--evaluations", type=int, default=256, help="candidates of each search (default: 256)")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "example", help="folder of the summary")
    arguments = parser.parse_args()
    numbers = sorted({int(seed) for seed in arguments.seeds.split(",")})
    if len(numbers) not in T_95:
        sys.exit(f"error: --seeds needs 2 to 10 different seeds, got {arguments.seeds}")
    started, seeds, labels = time.monotonic(), {}, []
    for done, number in enumerate(numbers, start=1):
        front = study_seed(arguments.work.resolve(), number, arguments.evaluations)
        seeds[number], labels = summarise_seed(front), [objective["label"] for objective in front["objectives"]]
        left = (time.monotonic() - started) / done * (len(numbers) - done)
        print(f"seed {number} done, about {left:.0f} s left for the study", file=sys.stderr, flush=True)
    leads = {label: across_seeds(seeds, label) for label in labels}
    summary = {"objectives": labels, "seeds": seeds, "lead_over_best_expert": leads}
    options = f"--seeds {','.join(map(str, numbers))} --evaluations {arguments.evaluations}"
    command = f"python experiments/example/study.py {options}"
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    (arguments.out / "summary.md").write_text(markdown(summary, command), encoding="utf-8")
    draw(summary, arguments.out / "front.png")
    print(arguments.out / "summary.md")


if __name__ == "__main__":
    main()
