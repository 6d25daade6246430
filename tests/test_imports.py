"""While libraries are imported the garbage collector rests, and what they made is out of its way afterwards."""

from __future__ import annotations

import gc

import pytest

from evomerge.imports import imported


def test_what_is_made_inside_is_not_looked_at_again() -> None:
    with imported():
        assert not gc.isenabled()
        made = [[place] for place in range(1000)]
    assert gc.isenabled()
    looked_at = {id(one) for one in gc.get_objects()}
    assert not any(id(one) in looked_at for one in made)


def test_the_collector_goes_on_after_a_failed_import() -> None:
    with pytest.raises(ModuleNotFoundError), imported():
        import no_such_library  # noqa: F401
    assert gc.isenabled()


def test_where_it_rests_already_it_goes_on_resting() -> None:
    gc.disable()
    try:
        with imported():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
