"""The compiled kernels equal the torch form bit for bit; a NaN equals a NaN, whatever its payload."""

from __future__ import annotations

import math
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch

from evomerge.kernels import (
    NOTHING,
    BernoulliMask,
    Bin,
    Delta,
    Histogram,
    Mask,
    Mixed,
    Mixture,
    Part,
    PcbScore,
    PcbTerm,
    RankWindow,
    Selection,
    Threshold,
    Values,
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
    magnitude_bits,
    mix,
    net_sign,
    pcb_merge,
    row_ranks,
    square_sums,
    torch_only,
)

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
SIZES = [0, 1, 2, 17, 1023, 1024, 1025, 3000, 65_536, 65_537, 150_001]
SPECIAL = [0.0, -0.0, torch.inf, -torch.inf, torch.nan, 1e-42, -1e-42, 3e38, 65504.0, 6e-8, 1.0]


@pytest.fixture(params=[1, 3], autouse=True)
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


class Draw:
    """Random tensors and options, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.numel = self.random.choice(SIZES)
        self.special = self.random.random() < 0.4

    def tensor(self, scale: float = 1.0) -> torch.Tensor:
        """Few different values, many of them shared; unaligned; sometimes with all that is special about floats."""
        values = (torch.randn(self.numel + 1, generator=self.generator) * 16).round() / 16 * scale
        if self.special and self.numel:
            places = torch.randint(0, self.numel + 1, (1 + self.numel // 10,), generator=self.generator)
            chosen = torch.randint(0, len(SPECIAL), places.shape, generator=self.generator)
            values[places] = torch.tensor(SPECIAL)[chosen]
        return values.to(self.random.choice(DTYPES))[1:]

    def near(self, base: torch.Tensor) -> torch.Tensor:
        return (base.float() + self.tensor(0.25).float()).to(self.random.choice(DTYPES))

    def cut(self) -> Threshold:
        bits = magnitude_bits(torch.tensor([self.random.choice([0.0, 0.0625, 0.125, 0.25, 0.3, 1.0])]))
        return Threshold(int(bits), self.random.randint(0, self.numel + 3))

    def window(self) -> Window:
        return Window(self.cut(), self.random.choice([NOTHING, self.cut()]))

    def keep(self) -> Mask | None:
        kind = self.random.randrange(5)
        if kind == 0:
            return None
        if kind == 1:
            return self.window()
        key, density = self.random.getrandbits(64), self.random.uniform(0.05, 0.9)
        if kind == 2:
            return BernoulliMask(key, density)
        ranks = torch.randint(0, 1000, (self.numel,), generator=self.generator).to(torch.uint16)
        if kind == 3:
            return BernoulliMask(key, density, (1 - density) / 1000, ranks, self.random.random() < 0.5)
        return RankWindow(ranks, self.random.randint(0, 500), self.random.randint(400, 1000))

    def number(self) -> float:
        return self.random.choice([1.0, -0.5, self.random.uniform(-1, 2), 1e-30])

    def mixture(self) -> Mixture:
        base = self.tensor()
        models = [self.near(base) for _ in range(self.random.randint(1, 4))]
        with_base = self.random.random() < 0.85
        parts = [
            Part(model, self.number(), self.number(), self.number(), self.keep() if with_base else None, factor)
            for model in models
            for factor in [self.random.choice([1.0, self.number()])]
        ]
        if with_base and self.random.random() < 0.1:
            parts = []
        return Mixture(
            base if with_base else None,
            parts,
            scale=self.number(),
            elect=with_base and self.random.random() < 0.7,
            tie=self.random.choice([1.0, 0.0, -1.0, None]),
            divide=self.random.random() < 0.6,
            select=Selection(Variance(base, models), self.window())
            if with_base and self.random.random() < 0.2
            else None,
        )

    def values(self) -> Values:
        base = self.tensor()
        return self.values_like(Delta(base, base))

    def values_like(self, other: Values) -> Values:
        models = [self.near(other.base) for _ in range(3)]
        return self.random.choice(
            [Delta(other.base, models[0]), Variance(other.base, models), self.score(other.base, models, 1)]
        )

    def score(self, base: torch.Tensor, models: Sequence[torch.Tensor], model: int) -> PcbScore:
        low, high = sorted(self.random.choices([0.0, 0.0625, 0.125, 0.3, 1.0, 3e38, math.inf], k=2))
        limits = self.random.choice([(low, high), (low, high), (0.0, 1.0), (low, math.nan), (math.nan, math.nan)])
        return PcbScore(base, models, model, limits)

    def rivals(self, base: torch.Tensor) -> list[PcbTerm]:
        models = [self.near(base) for _ in range(self.random.randint(1, 4))]
        return [
            PcbTerm(self.score(base, models, model), self.number(), least, self.random.choice([0.0, 1.0, 0.3]))
            for model in range(len(models))
            for least in [self.random.choice([0.0, 1e-3, 0.7, 2.0, math.inf, math.nan])]
            if self.random.random() < 0.8
        ]


def in_both(compute: Callable[[], Any]) -> tuple[Any, Any]:
    """What the compiled form gives, where there is one, and what torch gives."""
    assert in_use().name == "native" or not any(map(shutil.which, ("cc", "gcc", "clang"))), in_use().reason
    with torch_only():
        wanted = compute()
    return compute(), wanted


def assert_same_bits(got: torch.Tensor, wanted: torch.Tensor) -> None:
    assert got.dtype == wanted.dtype
    assert torch.equal(got.isnan(), wanted.isnan())
    words = {4: torch.int32, 2: torch.int16}[got.element_size()]
    numbers = ~wanted.isnan()
    assert torch.equal(got[numbers].view(words), wanted[numbers].view(words))


def assert_same_numbers(got: list[float], wanted: list[float]) -> None:
    for one, other in zip(got, wanted, strict=True):
        assert one == other or (one != one and other != other)


@pytest.mark.parametrize("seed", range(250))
def test_mixtures(seed: int) -> None:
    draw = Draw(seed)
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


@pytest.mark.parametrize("seed", range(150))
def test_balances(seed: int) -> None:
    draw = Draw(3000 + seed)
    base, dtype, scale = draw.tensor(), draw.random.choice(DTYPES), draw.number()
    rivals = draw.rivals(base)

    def compute() -> tuple[torch.Tensor, bool | None]:
        out = torch.full((2, draw.numel), torch.nan, dtype=dtype).t()[:, 0]  # not contiguous
        return out, pcb_merge(base, rivals, scale, out)

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


@pytest.mark.parametrize("seed", range(60))
def test_selection_and_sums(seed: int) -> None:
    draw = Draw(1000 + seed)
    values, keep = draw.values(), draw.keep()
    # With fewer digits a stretch would have more neighbours than are counted quickly; scores differ more than deltas.
    limit = 5000 if isinstance(values, PcbScore) else draw.numel % 50 + 40
    got, wanted = in_both(lambda: histogram_of(values, limit=limit).arrays("x"))
    for name, array in wanted.items():
        assert torch.equal(got[name], array), name
    histogram = Histogram.load(got, "x")
    for digit in histogram.bin_keys[:: 1 + histogram.bin_keys.numel() // 3].tolist():
        one, other = in_both(lambda digit=digit: bin_histogram(values, digit, histogram.shift))
        assert torch.equal(one.bin_keys, other.bin_keys)
        assert torch.equal(one.cumulative, other.cumulative)
        within = Bin(values, digit, histogram.shift, histogram.equal(digit))
        for one_part, other_part in zip(*in_both(lambda within=within: elements_of(within)), strict=True):
            assert one_part.tolist() == other_part.tolist()
        for place in {1, within.count // 2 + 1, within.count}:
            assert len(set(in_both(lambda s=within, p=place: elements_at([s, s], [p, 1])[0]))) == 1
        bits, equal = int(one.bin_keys[0]), int(one.cumulative[0])
        for quota in (0, 1, equal // 2 + 1, equal, equal + 1):
            assert len(set(in_both(lambda q=quota, b=bits: end_of_equal(values, b, q)))) == 1
    for kept in (None, keep):
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


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("columns", [1, 3, 500, 70_000])
def test_row_ranks(seed: int, columns: int) -> None:
    draw = Draw(2000 + seed)
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
    halves = torch.arange(0x7C00, dtype=torch.int32).to(torch.int16).view(torch.float16)
    middles = (halves[:-1].float() + halves[1:].float()) / 2
    bits = torch.cat([middles.view(torch.int32), torch.arange(0, 0x7F80, dtype=torch.int32) << 16 | 0x8000])
    near = torch.cat([bits - 1, bits, bits + 1]).view(torch.float32)
    numbers = torch.cat([near, -near, torch.tensor([65519.996, 65520.0, 65536.0, 3.4e38])])

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
