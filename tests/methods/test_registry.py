"""The folder is the registry."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from evomerge import methods
from evomerge.errors import InputError

# Name to whether it draws random numbers. Methods that others add promise what `MethodContract` says, and no more.
SHIPPED = {
    "arcee_fusion": False,
    "aswudi": False,
    "bitdelta": False,
    "breadcrumbs": False,
    "breadcrumbs_ties": False,
    "consensus": False,
    "dare_linear": True,
    "dare_ties": True,
    "della": True,
    "della_linear": True,
    "doge": False,
    "emr": False,
    "iso_c": False,
    "iso_cts": False,
    "expo": False,
    "iwudi": False,
    "karcher": False,
    "knots": False,
    "linear": False,
    "magmax": False,
    "metagpt": False,
    "model_stock": False,
    "multislerp": False,
    "nearswap": False,
    "nuslerp": False,
    "opcm": False,
    "optmerge": False,
    "passthrough": False,
    "pcb": False,
    "ram": False,
    "ramplus_tl": False,
    "sce": False,
    "slerp": False,
    "star": False,
    "swudi": False,
    "task_arithmetic": False,
    "ties": False,
    "tsvm": False,
    "tsvm_robust": False,
    "ties_slack": False,
    "varm": False,
    "widen": False,
    "wudi": False,
}


def test_the_folder_is_the_registry() -> None:
    folder = Path(methods.__file__).parent
    assert list(methods.names()) == sorted(path.stem for path in folder.glob("[!_]*.py"))
    assert set(SHIPPED) <= set(methods.names())


def test_other_names_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'dare_ties'"):
        methods.load("dare-ties")
    with pytest.raises(InputError, match="no merge method"):
        methods.load("_shared")
    for name in ("ties", "linear", "della"):
        with pytest.raises(InputError, match="did you mean 'normalise'"):
            methods.load(name).resolve({"normalize": True})


def test_methods_that_are_shipped_name_their_publication_and_have_starting_points() -> None:
    for name in SHIPPED:
        method = methods.load(name)
        assert "http" in method.paper, name
        assert method.starts(2, method.resolve({})), name


def test_what_is_random_says_so() -> None:
    assert {name: methods.load(name).stochastic for name in SHIPPED} == SHIPPED


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_every_file_says_its_source_what_is_prepared_and_what_a_candidate_costs(name: str) -> None:
    method, said = methods.load(name), sys.modules[f"evomerge.methods.{name}"].__doc__ or ""
    assert "https://" in method.paper
    assert re.search(r"\bcandidates? ", said), "what a candidate costs"
    assert re.search(r"\b(P|p)repare|\bkept\b", said), "what is prepared, or that nothing is"
