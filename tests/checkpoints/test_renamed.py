"""A base published without the prefix of its head's model merges with experts that have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from evomerge.checkpoints import Comparison, compare, in_form_of, open_source
from tests.building import perturbed, rewrite, tiny


def strip(folder: Path, prefix: str) -> None:
    """Names as the bare base model saves them."""

    def change(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            tensors[name.removeprefix(prefix)] = tensors.pop(name)

    rewrite(folder, change)


@pytest.fixture(scope="module", params=[("gpt2", "transformer."), ("bloom", "transformer."), ("llama", "model.")])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base without prefix, and an expert with it."""
    kind, prefix = request.param
    folder = tmp_path_factory.mktemp(kind)
    base = tiny(kind, folder / "base", 0)
    expert = perturbed(base, folder / "expert", 1)
    strip(base, prefix)
    return base, expert


def test_both_ways_round(pair: tuple[Path, Path]) -> None:
    for first, second in (pair, pair[::-1]):
        reference, other = open_source(first), open_source(second)
        renamed = in_form_of(reference, other)
        assert renamed.specs.keys() == reference.specs.keys()
        assert compare(reference, [renamed]) == Comparison((), ())
        assert renamed.fingerprint() == other.fingerprint()
        own = dict(zip(renamed.specs, other.specs, strict=True))
        for name in renamed.specs:
            assert torch.equal(renamed.tensor(name), other.tensor(own[name]))
            assert renamed.in_place(name)
            assert renamed.file(name) == other.file(own[name])
        renamed.release()


def test_repeated_head(tmp_path: Path) -> None:
    base = tiny("gpt2", tmp_path / "base", 0)
    expert = perturbed(base, tmp_path / "expert", 1)
    rewrite(expert, lambda tensors: tensors.update({"lm_head.weight": tensors["transformer.wte.weight"].clone()}))
    strip(base, "transformer.")
    renamed = in_form_of(open_source(base), open_source(expert))
    assert renamed.aliases == {"lm_head.weight": "wte.weight"}
    assert compare(open_source(base), [renamed]) == Comparison((), ())


def test_tables_in_one_of_them(tmp_path: Path) -> None:
    base = tiny("gpt2", tmp_path / "base", 0)
    expert = perturbed(base, tmp_path / "expert", 1)
    strip(base, "transformer.")
    rewrite(base, lambda tensors: tensors.update({"h.0.attn.bias": torch.ones(1, 1, 4, 4)}))
    renamed = in_form_of(open_source(base), open_source(expert))
    assert compare(open_source(base), [renamed]) == Comparison((), ())


def test_same_or_other_names_stay(llama: Path, expert: Path, tmp_path: Path, copy_of: Callable[..., Path]) -> None:
    other = open_source(expert)
    assert in_form_of(open_source(llama), other) is other
    gpt2 = open_source(tiny("gpt2", tmp_path / "gpt2", 0))
    assert in_form_of(open_source(llama), gpt2) is gpt2
