"""The folder is the registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from evomerge import methods
from evomerge.errors import InputError


def test_the_folder_is_the_registry() -> None:
    folder = Path(methods.__file__).parent
    assert list(methods.names()) == sorted(path.stem for path in folder.glob("[!_]*.py"))
    assert {"linear", "slerp", "task_arithmetic", "ties", "dare_linear", "dare_ties"} <= set(methods.names())
    assert {"breadcrumbs", "breadcrumbs_ties", "della", "della_linear", "pcb", "sce"} <= set(methods.names())


def test_other_names_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'dare_ties'"):
        methods.load("dare-ties")
    with pytest.raises(InputError, match="no merge method"):
        methods.load("_shared")
    for name in ("ties", "linear", "della"):
        with pytest.raises(InputError, match="did you mean 'normalise'"):
            methods.load(name).resolve({"normalize": True})


def test_every_method_names_its_publication_and_has_starting_points() -> None:
    for name in methods.names():
        method = methods.load(name)
        assert "http" in method.paper, name
        assert method.starts(2, method.resolve({})), name


def test_what_is_random_says_so() -> None:
    assert {name for name in methods.names() if methods.load(name).stochastic} == {
        "dare_linear", "dare_ties", "della", "della_linear",
    }  # fmt: skip
