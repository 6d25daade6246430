"""Damaged input of every kind, thousands of cases: each must be refused by name or be harmless.

Run from the repository root: ``python -m experiments.fuzz.study``
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from experiments.fuzz.cases import FAMILIES
from experiments.fuzz.page import write_page
from experiments.fuzz.server import Record, Server
from experiments.machine import machine

CASES = 190  # of each family


def kept(folder: Path, seed: int) -> dict[tuple[str, int], Record]:
    """The cases that were run before, by family and number."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob(f"cases-{seed}-*.jsonl"))]
    records = [json.loads(line) for text in texts for line in text.splitlines()]
    return {(record["family"], record["number"]): record for record in records}


def wanted(cases: int, families: list[str] | None = None, first: int = 0) -> Iterator[tuple[str, int]]:
    """Family and number of every case, all families by turns."""
    for number in range(first, cases):
        for family in families or FAMILIES:
            yield family, number


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=CASES, help="of each family")
    parser.add_argument("--first", type=int, default=0, help="number of the first case, where several share the work")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--families", nargs="*", help="only these")
    parser.add_argument("--work", type=Path, help="folder of records; a repeated command goes on with what is missing")
    parser.add_argument("--out", type=Path, default=Path("results/fuzz"))
    arguments = parser.parse_args()
    work = arguments.work or Path(tempfile.mkdtemp())
    work.mkdir(parents=True, exist_ok=True)
    log = work / f"cases-{arguments.seed}-{arguments.first}.jsonl"
    known, counts = kept(work, arguments.seed), Counter()
    with tempfile.TemporaryDirectory() as folder, log.open("a", encoding="utf-8") as file:
        server = None
        for family, number in wanted(arguments.cases, arguments.families, arguments.first):
            if (family, number) not in known:
                server = server or Server(Path(folder), arguments.seed)
                record = known[family, number] = server.run(family, number)
                file.write(json.dumps(record) + "\n")
                file.flush()
                if record["reasons"]:
                    print(json.dumps(record), flush=True)
            counts[known[family, number]["verdict"]] += 1
    print(dict(counts))
    if not arguments.families and not arguments.first:
        chosen = [known[key] for key in wanted(arguments.cases)]
        write_page(chosen, arguments.seed, machine("transformers", "tokenizers", "safetensors", "torch"), arguments.out)


if __name__ == "__main__":
    main()
