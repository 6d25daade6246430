"""Builds one family of the embedded example: `python experiments/example/build.py --seed 0 --out FOLDER`.

About a minute on one core. An interrupted build goes on when the same command is given again.
"""

import argparse
import sys
import time
from pathlib import Path

import torch
import transformers
from example_family.family import build_family
from example_family.recipe import scaled_members

SECONDS_BETWEEN_LINES = 5.0


class ProgressLines:
    """Prints a line every few seconds: member, steps, loss, and the time left for the family."""

    def __init__(self, step_scale: float) -> None:
        self._steps_left = {member.name: member.course.steps for member in scaled_members(step_scale)}
        self._printed = 0.0

    def __call__(self, member: str, step: int, steps: int, loss: float, seconds: float) -> None:
        """Takes note of one step, and prints when it is time or the member is done."""
        self._steps_left[member] = steps - step
        if step < steps and time.monotonic() - self._printed < SECONDS_BETWEEN_LINES:
            return
        self._printed = time.monotonic()
        # Members come in order, so whatever stands before this one in the family is done.
        names = list(self._steps_left)
        left = sum(self._steps_left[name] for name in names[names.index(member) :]) * seconds / step
        line = f"{member}: step {step}/{steps}, loss {loss:.4f}, {seconds:.0f} s, about {left:.0f} s left"
        print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Reads the command line and builds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of initialisation and training data (default: 0)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the family")
    parser.add_argument("--step-scale", type=float, default=1.0, help="multiplies all numbers of steps")
    arguments = parser.parse_args()
    # With one thread the sums of a step have one order, so the weights do not depend on the number of cores.
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    try:
        trained = build_family(arguments.out, arguments.seed, arguments.step_scale, ProgressLines(arguments.step_scale))
    except ValueError as error:
        sys.exit(f"error: {error}")
    print(f"{arguments.out}: trained {', '.join(trained) or 'nothing, all members were there'}")


if __name__ == "__main__":
    main()
