"""The grammar of ``key=value``."""

import random
from typing import Any

import pytest

from evomerge.config import schema
from evomerge.config.parse import Override, jobs, read, written

GROUPS = {"genome": ("blocks", "layer"), "searcher": ("ga", "nsga2", "nsga3"), "experiment": ("example",)}


def one(word: str, *, sweeps: bool = False) -> Override:
    found, problems = read([word], schema.SEARCH, GROUPS, sweeps=sweeps)
    assert problems == []
    return found[0]


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("seed=3", 3),
        ("evaluations=1e2", 100.0),
        ("base=null", None),
        ("base=007", "007"),
        ("base=1e3", "1e3"),
        ("base='null'", "null"),
        ("base=ORG/NAME@v1.0", "ORG/NAME@v1.0"),
        ("base=~/models/a", "~/models/a"),
        ("run_dir=a,b", "a,b"),
        ("run_dir=/runs/seed=0 (copy)/é", "/runs/seed=0 (copy)/é"),
        ("run_dir=2024", "2024"),
        ("tasks=[a,b]", ["a", "b"]),
        ("tasks=a", "a"),
        ("models=[~/a,../b c/d]", ["~/a", "../b c/d"]),
        ("objectives=[0.7*a.acc + 0.3*b.acc_norm]", ["0.7*a.acc + 0.3*b.acc_norm"]),
        ("objectives=['gsm8k.exact_match,strict-match']", ["gsm8k.exact_match,strict-match"]),
        ("constraints=[all.acc >= base - 0.01, t.ppl <= 9.5]", ["all.acc >= base - 0.01", "t.ppl <= 9.5"]),
        ("constraints=all.acc >= base - 0.01", "all.acc >= base - 0.01"),
        ("method_options={scope:global}", {"scope": "global"}),
        ("method_options.normalize=true", True),
        ("genome.bounds.weight=[-0.5,1.5]", [-0.5, 1.5]),
        ("genome.fixed={layer *:{weight:0.5}}", {"layer *": {"weight": 0.5}}),
        ("fitness.system_instruction=Be brief, please.", "Be brief, please."),
        ("++seed=1", 1),
    ],
)
def test_values(word: str, value: Any) -> None:
    assert one(word).value == value


def test_groups_and_their_prefixes() -> None:
    assert one("genome=layer") == Override("genome", "layer", group=True)
    assert one("+experiment=example") == one("experiment=example") == Override("experiment", "example", group=True)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("seed=0,1,2", (0, 1, 2)),
        ("seed=range(0,6,2)", (0, 2, 4)),
        ("method=choice(ties,dare_ties)", ("ties", "dare_ties")),
        ("searcher=glob(nsga*)", ("nsga2", "nsga3")),
        ("tasks=[a],[a,b]", (["a"], ["a", "b"])),
        ("base=007,8", ("007", "8")),
    ],
)
def test_sweeps(word: str, value: Any) -> None:
    override = one(word, sweeps=True)
    assert override.sweep
    assert override.value == value


@pytest.mark.parametrize(
    ("word", "sweeps", "expected"),
    [
        ("seed=0,1", False, "add -m"),
        ("method=choice(ties,linear)", False, "add -m"),
        ("tasks=a,b", False, "a list is written tasks=[a,b]"),
        ("hydra.verbose=true", False, "add -m"),
        ("seed=range(0,0)", True, "holds no value"),
        ("seed=interval(0,1)", True, "continuous"),
        ("seed=glob(*)", True, "glob() is for the names of a group"),
        ("searcher=ga,nsga", True, "did you mean 'nsga"),
        ("~seed=1", False, "write seed=null"),
        ("~seed", False, "write seed=null"),
        ("tasks=[a", False, "put it into quotes"),
        ("seed", False, "seed=..."),
        ("9lives=1", False, "expected key=value"),
    ],
)
def test_problems(word: str, sweeps: bool, expected: str) -> None:
    found, problems = read([word], schema.SEARCH, GROUPS, sweeps=sweeps)
    assert found == []
    assert len(problems) == 1
    assert expected in problems[0]


def test_what_is_written_is_read_back() -> None:
    """Random values of every shape, made of characters that the grammar treats specially."""
    chance = random.Random(0)
    letters = "ab1.- _/:=,'\"\\{}[]()~$@>é"

    def value(depth: int) -> Any:
        kind = chance.randrange(5 if depth else 3)
        if kind == 0:
            return chance.choice([None, True, False, 0, -7, 0.25, 1e-9, 12345678901234567890])
        if kind in (1, 2):
            return "".join(chance.choice(letters) for _ in range(chance.randrange(1, 9))).replace("${", "$")
        if kind == 3:
            return [value(depth - 1) for _ in range(chance.randrange(3))]
        return {f"k{index}": value(depth - 1) for index in range(chance.randrange(3))}

    for _ in range(2000):
        original = value(2)
        assert one(f"method_options.x={written(original)}").value == original


def test_jobs_are_all_combinations() -> None:
    found, _ = read(["seed=0,1", "base=C", "genome=layer,blocks"], schema.SEARCH, GROUPS, sweeps=True)
    combinations = [[override.value for override in job] for job in jobs(found)]
    assert combinations == [[0, "C", "layer"], [0, "C", "blocks"], [1, "C", "layer"], [1, "C", "blocks"]]


def test_mappings_with_patterns_as_keys_come_back_as_they_were_written() -> None:
    """Also to Hydra itself, for the jobs of a sweep: its grammar takes no quotes around keys."""
    for value in ({"*": {"lambda": 1.0}}, {"layer * mlp": {"density": 0.5}}, {"true": 1, "a:b": 2, "x y": "z w"}):
        (found,), problems = read([f"genome.fixed={written(value)}"], schema.SEARCH, {})
        assert (found.value, problems) == (value, [])
    assert written({"*": {"lambda": 1.0}}) == "{*:{lambda:1.0}}"
