"""A merge method is one file and one test: nothing else is touched."""

from __future__ import annotations

import re
from pathlib import Path

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


def test_is_found_by_its_name():
    assert "largest" in methods.names()
"""


# What is asked of all methods, after which the new one's own test comes.
OF_ALL = (Path(__file__).parents[1] / "methods" / "test_registry.py").read_text(encoding="utf-8")


def test_the_method_of_the_readme_keeps_the_contract(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    section = readme.split("## To add something")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    test = OF_ALL + TEST.replace("largest", "mymethod").replace("Largest", "Mine")
    done = run_tests_in_a_copy(tmp_path / "readme", {"methods/mymethod.py": code}, test)
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_new_method_keeps_the_contract_and_a_wrong_one_is_found_out(tmp_path: Path) -> None:
    done = run_tests_in_a_copy(tmp_path / "right", {"methods/largest.py": MAGMAX}, OF_ALL + TEST)
    assert done.returncode == 0, done.stdout[-3000:]
    # It adds zeros to the base's negative zeros.
    wrong = MAGMAX.replace("torch.where(chosen == 0, base, base + chosen)", "base + chosen")
    done = run_tests_in_a_copy(tmp_path / "wrong", {"methods/largest.py": wrong}, TEST)
    failed = set(re.findall(r"FAILED \S+::(\w+)", done.stdout))
    assert failed == {"test_the_base_stays_where_nothing_is_added"}, done.stdout[-3000:]
