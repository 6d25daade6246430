"""The table of STAR's candidates: every eta is timed, and a model has as many tensors of a shape."""

from __future__ import annotations

import pytest

from evomerge.methods._shared.spectral import products
from experiments.merge_speed.truncated import ETAS, PRODUCTS, measure, page


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_eta_is_timed(product: str) -> None:
    before = products.multiplies_bfloat16
    found = measure((24, 16), sums=3, turns=1, product=product, room=1)
    assert len(found) == len(ETAS)
    assert min(found) >= 0
    assert products.multiplies_bfloat16 is before


def test_times_add_up_over_shapes() -> None:
    """Two of 1000 elements and one of 500: 25 kilobytes read and written, which is 25 ms at a megabyte per second."""
    seconds = {"3, float32": [0.1] * len(ETAS)}
    own = [
        {"shape": (100, 10), "count": 2.0, "bandwidth": 0.5e6, "seconds": seconds},
        {"shape": (50, 10), "count": 1.0, "bandwidth": 1e6, "seconds": seconds},
    ]
    about = {"size": "tiny", "date": "2026-11-28", "machine": "one", "torch": "2", "turns": 1, "etas": ETAS}
    text = page({**about, "shapes": own})
    assert "which is 25 ms" in text
    assert text.splitlines()[-1] == "| 3, float32 |" + " 300 (12.0) |" * (len(ETAS) + 1)
