"""A small sweep of the embedded example, and what its page looks like.

`python experiments/example/sweep.py --work FOLDER` searches the example with two algorithms, two layouts of the genome
and three seeds, by `evomerge search -m` (finished jobs are skipped), and writes the numbers of the page and, where
Chromium is installed, a picture of it to results/example.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results" / "example"
WORDS = ("experiment=example", "searcher=nsga2,random", "genome=model,layer", "evaluations=48", "items_per_task=100")
SIZE = (1200, 1560)
"""Width and height of the picture, in pixels."""


def sweep(folder: Path, seeds: str) -> None:
    """Runs the sweep, or goes on with it, and stops when a job of it failed."""
    command = [sys.executable, "-m", "evomerge", "search", "-m", *WORDS, f"seed={seeds}", "progress=none"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    code = subprocess.run([*command, f"run_dir={folder}"], env=environment, check=False).returncode
    if code:
        sys.exit(code)


def picture(page: Path, out: Path, size: tuple[int, int] = SIZE) -> None:
    """Saves the beginning of a page as a picture, where there is a browser to look at it."""
    chromium = shutil.which("chromium")
    if chromium is None:
        print(f"no chromium, so {out} is not made", file=sys.stderr)
        return
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={size[0]},{size[1]}"]
    subprocess.run([chromium, *options, f"--screenshot={out}", page.as_uri()], check=True, capture_output=True)


def main() -> None:
    """Runs the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of the sweep")
    parser.add_argument("--seeds", default="0,1,2", help="seeds of the sweep")
    arguments = parser.parse_args()
    folder = arguments.work.resolve()
    sweep(folder, arguments.seeds)
    shutil.copyfile(folder / "report.json", RESULTS / "sweep.json")
    picture(folder / "report.html", RESULTS / "sweep.png")


if __name__ == "__main__":
    main()
