"""The committed report of the embedded example: a bare `evomerge`, its page, text and figure, and a picture of these.

`python experiments/example/report.py --work FOLDER` runs the example there (what is finished is not done again), writes
its report as it is written today, and copies it to results/example.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from sweep import RESULTS, ROOT, picture

SIZE = (1366, 1160)
"""Width and height of the picture, in pixels."""


def main() -> None:
    """Runs the example and copies its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the run")
    folder = parser.parse_args().work.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    evomerge = [sys.executable, "-m", "evomerge"]
    subprocess.run(evomerge, env=environment, cwd=folder, check=True)
    (run,) = (path.parent for path in (folder / "runs").glob("*/manifest.json"))
    subprocess.run([*evomerge, "report", f"run={run.relative_to(folder)}"], env=environment, cwd=folder, check=True)
    shutil.copyfile(run / "report.html", RESULTS / "report.html")
    shutil.copyfile(run / "front.png", RESULTS / "report_front.png")
    text = (run / "report.md").read_text(encoding="utf-8").replace("](front.png)", "](report_front.png)")
    (RESULTS / "report.md").write_text(text, encoding="utf-8")
    picture(run / "report.html", RESULTS / "report.png", SIZE)


if __name__ == "__main__":
    main()
