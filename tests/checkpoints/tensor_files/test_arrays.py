"""Files of arrays: written whole, mapped when read, and known to be what was written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import map_arrays, write_arrays
from evomerge.errors import InputError

ARRAYS = {
    "a/ranks": torch.arange(7, dtype=torch.int32).to(torch.uint16),
    "a/upto": torch.arange(3, dtype=torch.int64),
    "b/empty": torch.empty(0, 4),
    "b/flags": torch.tensor([True, False, True]),
    "b/scalar": torch.tensor(0.5, dtype=torch.float64),
}


def test_round_trip(tmp_path: Path) -> None:
    """Whatever type and shape, mapped and not read into memory."""
    path = tmp_path / "arrays.safetensors"
    write_arrays(path, ARRAYS, {"of": "a model"})
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    found = map_arrays(path, {"of": "a model"})
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert torch.equal(found[name], array)
    storages = {found[name].untyped_storage().data_ptr() for name in found}
    assert len(storages) == 1


def test_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "arrays.safetensors"
    write_arrays(path, ARRAYS, {"of": "a model"})
    with pytest.raises(InputError, match="its of is 'a model', expected was 'another'"):
        map_arrays(path, {"of": "another"})


def test_changed_values(tmp_path: Path) -> None:
    path = tmp_path / "arrays.safetensors"
    write_arrays(path, ARRAYS, {})
    data = bytearray(path.read_bytes())
    data[-1] ^= 4
    path.write_bytes(data)
    with pytest.raises(InputError, match="its values are not those that were written"):
        map_arrays(path, {})


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        write_arrays(tmp_path / "nowhere" / "arrays.safetensors", ARRAYS, {})
