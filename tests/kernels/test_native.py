"""The compiled kernels equal the torch form bit for bit; a NaN equals a NaN, whatever its payload."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from evomerge.kernels import (
    Bin,
    Delta,
    Histogram,
    Mixed,
    Mixture,
    Part,
    PcbScore,
    RankWindow,
    Selection,
    Threshold,
    Variance,
    Window,
    absolute_sum,
    bin_histogram,
    cumulative_square_sums,
    dot,
    elements_at,
    elements_of,
    end_of_equal,
    histogram_of,
    in_use,
    is_finite,
    mix,
    native,
    net_sign,
    pcb_merge,
    reference,
    row_ranks,
    square_sums,
)
from tests.kernels.draws import DTYPES, Draw, assert_same_bits, assert_same_numbers, edges, in_both, seeds


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@seeds(0, 250)
def test_mixtures(draw: Draw) -> None:
    mixture, dtype = draw.mixture(), draw.random.choice(DTYPES)

    def compute() -> tuple[torch.Tensor, Mixed]:
        out = torch.full((2, draw.numel), torch.nan, dtype=dtype).t()[:, 0]  # not contiguous
        return out, mix(mixture, out)

    (got, seen), (wanted, seen_there) = in_both(compute)
    assert_same_bits(got, wanted)
    assert seen.tied == seen_there.tied
    assert seen.finite == is_finite(got)
    if mixture.elect:
        assert len(set(in_both(lambda: net_sign(Mixture(mixture.base, mixture.parts, elect=True, tie=None))))) == 1


@seeds(3000, 150)
def test_pcb_merges(draw: Draw) -> None:
    base, dtype, scale = draw.tensor(), draw.random.choice(DTYPES), draw.number()
    terms = draw.terms(base)

    def compute() -> tuple[torch.Tensor, bool | None]:
        out = torch.full((2, draw.numel), torch.nan, dtype=dtype).t()[:, 0]  # not contiguous
        return out, pcb_merge(base, terms, scale, out)

    (got, finite), (wanted, _) = in_both(compute)
    assert_same_bits(got, wanted)
    assert finite == is_finite(got)


@pytest.mark.parametrize("size", [1.0, 5e-3, 1e-7])
def test_scores_of_products_of_all_sizes(size: float) -> None:
    """Around zero, where the tangent is a polynomial, where it is a fraction, and where it is one."""
    generator = torch.Generator().manual_seed(0)
    base = torch.zeros(100_003)
    models = [torch.randn(base.shape, generator=generator) * size for _ in range(3)]
    score = PcbScore(base, models, 0, (size / 1000, 3 * size))
    one, other = in_both(lambda: histogram_of(score, limit=base.numel()).arrays("x"))
    assert one["bin_keys.x"].numel() > 40_000
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.usefixtures("threads")
@seeds(1000, 60)
def test_selection_and_sums(draw: Draw) -> None:
    values, mask = draw.values(), draw.mask()
    # With fewer bins each would have more magnitudes than are counted quickly; scores differ more than deltas.
    limit = 5000 if isinstance(values, PcbScore) else draw.random.choice([45, 300, 2000])
    got, wanted = in_both(lambda: histogram_of(values, limit=limit).arrays("x"))
    for name, array in wanted.items():
        assert torch.equal(got[name], array), name
    histogram = Histogram.load(got, "x")
    for bin_key in histogram.bin_keys[:: 1 + histogram.bin_keys.numel() // 3].tolist():
        one, other = in_both(lambda bin_key=bin_key: bin_histogram(values, bin_key, histogram.shift))
        assert torch.equal(one.bin_keys, other.bin_keys)
        assert torch.equal(one.cumulative, other.cumulative)
        within = Bin(values, bin_key, histogram.shift, histogram.equal(bin_key))
        for one_part, other_part in zip(*in_both(lambda within=within: elements_of(within)), strict=True):
            assert one_part.tolist() == other_part.tolist()
        for place in {1, within.count // 2 + 1, within.count}:
            assert len(set(in_both(lambda s=within, p=place: elements_at([s, s], [p, 1])[0]))) == 1
        bits, equal = int(one.bin_keys[0]), int(one.cumulative[0])
        for quota in (0, 1, equal // 2 + 1, equal, equal + 1):
            assert len(set(in_both(lambda q=quota, b=bits: end_of_equal(values, b, q)))) == 1
    for kept in (None, mask):
        assert_same_numbers(*in_both(lambda kept=kept: [absolute_sum(values, kept)]))
    deltas = Variance(values.base, [draw.near(values.base) for _ in range(3)])
    for select in (None, Selection(values, draw.window())):
        assert_same_numbers(*in_both(lambda select=select: square_sums(deltas, select)))
    spread = histogram_of(deltas, limit=500)
    one, other = in_both(lambda: cumulative_square_sums(deltas, spread.bin_keys, spread.shift))
    assert_same_numbers(one.view(-1).tolist(), other.view(-1).tolist())
    wanted = square_sums(deltas)
    if all(map(math.isfinite, wanted)):
        assert one[-1].tolist() == pytest.approx(wanted)
        assert one[0].tolist() == [0.0] * 3
    left, right = draw.tensor(), draw.tensor()
    assert_same_numbers(*in_both(lambda: [dot(left, right)]))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("columns", [1, 3, 500, 70_000])
@seeds(2000, 30)
def test_row_ranks(draw: Draw, columns: int) -> None:
    draw.numel = columns * draw.random.randint(0, max(1, 2000 // columns))
    base = draw.tensor().view(-1, columns)
    delta = Delta(base, draw.near(base.reshape(-1)).view(-1, columns))
    got, wanted = in_both(lambda: row_ranks(delta))
    assert got.shape == wanted.shape == base.shape
    assert torch.equal(got.to(torch.int32), wanted.to(torch.int32))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_sixteen_bit_number_is_read_and_written(dtype: torch.dtype) -> None:
    words = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16)
    numbers = words.view(dtype) if dtype.itemsize == 2 else words.view(torch.bfloat16).float()
    for out_dtype in DTYPES:

        def compute(out_dtype: torch.dtype = out_dtype) -> torch.Tensor:
            out = torch.empty(1 << 16, dtype=out_dtype)
            mix(Mixture(None, [Part(numbers, 1.0)]), out)
            return out

        assert_same_bits(*in_both(compute))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_rounding_at_every_edge_between_two_numbers(dtype: torch.dtype) -> None:
    """Numbers halfway between neighbours of 16 bits, and their float32 neighbours."""
    numbers = edges()

    def compute() -> torch.Tensor:
        out = torch.empty(numbers.shape, dtype=dtype)
        mix(Mixture(None, [Part(numbers, 1.0)]), out)
        return out

    got, wanted = in_both(compute)
    assert_same_bits(got, wanted)
    assert_same_bits(got, numbers.to(dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
def test_one_broken_element_is_found(dtype: torch.dtype, broken: float) -> None:
    tensor = torch.full((150_001,), torch.finfo(dtype).max, dtype=dtype)
    assert in_both(lambda: is_finite(tensor)) == (True, True)
    for place in (0, 1025, 150_000):
        tensor[place] = broken
        assert in_both(lambda: is_finite(tensor)) == (False, False)
        tensor[place] = -0.0
    assert is_finite(tensor[:0])


def test_both_forms_have_the_same_functions() -> None:
    """The chooser calls either; a kernel is three files of one name."""
    assert {*native.__all__} - {"DTYPES"} == {*reference.__all__}
    for name in reference.__all__:
        one, other = (inspect.signature(getattr(form, name)).parameters for form in (native, reference))
        assert list(one) == list(other), name
    files = {path.stem for path in Path(*native.__path__).glob("*.py")}
    bindings = files - {"__init__", "library", "passes", "structs"}
    assert bindings <= {path.stem for path in Path(*reference.__path__).glob("*.py")}
    assert bindings | {"threads"} == {path.stem for path in Path(*native.__path__, "csrc").glob("*.c")}


def test_what_has_no_meaning_is_refused() -> None:
    base, model = torch.zeros(4), torch.ones(4)
    window = Window(Threshold(0, 4))
    with pytest.raises(ValueError, match="expected a base"):
        Mixture(None, [Part(model, 1.0, mask=window)])
    with pytest.raises(ValueError, match="the mixture's base"):
        Mixture(base, [Part(model, 1.0)], select=Selection(Variance(torch.zeros(4), [model]), window))
    ranks = RankWindow(torch.zeros(4, dtype=torch.int64), 0, 1)
    if in_use().name == "native":
        with pytest.raises(ValueError, match="contiguous uint16"):
            mix(Mixture(base, [Part(model, 1.0, mask=ranks)]), torch.empty(4))
