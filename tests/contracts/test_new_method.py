"""A merge method is one file and one test: nothing else is touched."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from evomerge.contracts.method import MethodContract
from tests.apart import Apart
from tests.contracts.copied_package import run_tests_in_a_copy

MAGMAX = '''
"""MagMax: per element, the delta of largest magnitude."""

import torch

from evomerge.methods import MergeMethod, whole_tensor
from evomerge.recipe import Coefficient


def largest(context, base, models, coefficients, options):
    """The base plus the largest delta of each element, each delta scaled by its model's weight."""
    weights = coefficients["weight"]
    deltas = torch.stack([(model - base) * weight for model, weight in zip(models, weights)])
    chosen = deltas.gather(0, deltas.abs().nan_to_num(nan=torch.inf).argmax(dim=0, keepdim=True))[0]
    return torch.where(chosen == 0, base, base + chosen)


def starts(n_models, options):
    """Models alone, and all of them."""
    alone = {f"model:{i}": {"weight": tuple(float(i == m) for m in range(n_models))} for i in range(n_models)}
    return {"uniform": {"weight": (1.0,) * n_models}, **alone}


METHOD = MergeMethod(
    name="largest",
    summary="largest delta of each element",
    paper="Marczak et al. 2024, MagMax, https://arxiv.org/abs/2407.06322",
    merge=whole_tensor(largest),
    coefficients=lambda options: (Coefficient("weight", 0.0, 1.5, 1.0, doc="scale of each delta"),),
    starts=starts,
    exact_starts="models",
    symmetric=False,  # of equal ones the first
)
'''
TEST = """
from evomerge import methods
from evomerge.contracts.method import MethodContract


class TestLargest(MethodContract):
    method = methods.load("largest")


def test_largest_is_found_by_its_name():
    assert "largest" in methods.names()
"""


def named(text: str, name: str) -> str:
    """The text of another method, or of its test."""
    return text.replace("largest", name).replace("Largest", name.capitalize())


# What is asked of all methods, after which the new ones' own tests come.
OF_ALL = (Path(__file__).parents[1] / "methods" / "test_registry.py").read_text(encoding="utf-8")


def test_new_methods_keep_the_contract_and_a_wrong_one_is_found_out(bare: Apart, tmp_path: Path) -> None:
    """That of the README, another one, and one that adds zeros to the base's negative zeros."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    section = readme.split("## To add something")[1].split("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    (mymethod,) = [block for block in blocks if "\nMETHOD = " in block]
    wrong = MAGMAX.replace("torch.where(chosen == 0, base, base + chosen)", "base + chosen")
    assert wrong != MAGMAX
    added = {
        "methods/mymethod.py": mymethod,
        "methods/largest.py": MAGMAX,
        "methods/wrong.py": wrong.replace('name="largest"', 'name="wrong"'),
    }
    tests = [OF_ALL, TEST, named(TEST, "mymethod"), named(TEST, "wrong")]
    _, printed = run_tests_in_a_copy(bare, tmp_path, added, "".join(tests))
    failed = re.findall(r"^(?:FAILED|ERROR) \S+?::(\S+)", printed, flags=re.MULTILINE)
    assert failed == ["TestWrong::test_the_base_stays_where_nothing_is_added"], printed[-3000:]
    kept = len(re.findall(r"^    def test_", inspect.getsource(MethodContract), flags=re.MULTILINE))
    found = len(re.findall(r"^def test_", "".join(tests), flags=re.MULTILINE))
    (passed,) = re.findall(r"^1 failed, (\d+) passed", printed, flags=re.MULTILINE)
    assert int(passed) >= 3 * kept + found - 1, "some of the tests are asked of every method"
