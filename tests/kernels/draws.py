"""Random operands, and the comparison of the two forms of the kernels."""

from __future__ import annotations

import dataclasses
import inspect
import math
import random
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import torch

from evomerge.kernels import (
    NOTHING,
    BernoulliMask,
    Delta,
    Mask,
    Mixture,
    Part,
    PcbScore,
    PcbTerm,
    RankWindow,
    Selection,
    Sparse,
    Threshold,
    Values,
    Variance,
    Window,
    in_use,
    magnitude_bits,
    torch_only,
)

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
SIZES = [0, 1, 2, 17, 1023, 1024, 1025, 3000, 65_536, 65_537, 150_001]
SPECIAL = [0.0, -0.0, torch.inf, -torch.inf, torch.nan, 1e-42, -1e-42, 3e38, 65504.0, 6e-8, 1.0]


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

    def threshold(self) -> Threshold:
        bits = magnitude_bits(torch.tensor([self.random.choice([0.0, 0.0625, 0.125, 0.25, 0.3, 1.0])]))
        return Threshold(int(bits), self.random.randint(0, self.numel + 3))

    def window(self) -> Window:
        return Window(self.threshold(), self.random.choice([NOTHING, self.threshold()]))

    def mask(self) -> Mask | None:
        kind = self.random.randrange(5)
        if kind == 0:
            return None
        if kind == 1:
            return self.window()
        key, density = self.random.getrandbits(64), self.random.uniform(0.05, 0.9)
        window = self.window() if self.random.random() < 0.3 else None
        if kind == 2:
            return BernoulliMask(key, density, window=window)
        ranks = torch.randint(0, 1000, (self.numel,), generator=self.generator).to(torch.uint16)
        if kind == 3:
            return BernoulliMask(key, density, (1 - density) / 1000, ranks, self.random.random() < 0.5, window)
        return RankWindow(ranks, self.random.randint(0, 500), self.random.randint(400, 1000))

    def number(self) -> float:
        return self.random.choice([1.0, -0.5, self.random.uniform(-1, 2), 1e-30])

    def mixture(self) -> Mixture:
        base = self.tensor()
        models = [self.near(base) for _ in range(self.random.randint(1, 4))]
        with_base = self.random.random() < 0.85
        parts = [
            Part(model, self.number(), self.number(), self.number(), self.mask() if with_base else None, factor)
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
        models, mask = [self.near(other.base) for _ in range(3)], self.mask()
        return self.random.choice(
            [
                Delta(other.base, models[0]) if mask is None else Sparse(other.base, models[0], mask),
                Variance(other.base, models),
                self.score(other.base, models, 1),
            ]
        )

    def score(self, base: torch.Tensor, models: Sequence[torch.Tensor], model: int) -> PcbScore:
        low, high = sorted(self.random.choices([0.0, 0.0625, 0.125, 0.3, 1.0, 3e38, math.inf], k=2))
        limits = self.random.choice([(low, high), (low, high), (0.0, 1.0), (low, math.nan), (math.nan, math.nan)])
        return PcbScore(base, models, model, limits)

    def terms(self, base: torch.Tensor) -> list[PcbTerm]:
        models = [self.near(base) for _ in range(self.random.randint(1, 4))]
        return [
            PcbTerm(self.score(base, models, model), self.number(), least, self.random.choice([0.0, 1.0, 0.3]))
            for model in range(len(models))
            for least in [self.random.choice([0.0, 1e-3, 0.7, 2.0, math.inf, math.nan])]
            if self.random.random() < 0.8
        ]


class Moved:
    """Operands on another device; what is one tensor here is one tensor there."""

    def __init__(self, device: torch.device | str) -> None:
        self._device = device
        self._there: dict[int, torch.Tensor] = {}

    def __call__(self, operand: Any) -> Any:
        if isinstance(operand, torch.Tensor):
            return self._there.setdefault(id(operand), operand.to(self._device))
        if isinstance(operand, list | tuple):
            return type(operand)(map(self, operand))
        if dataclasses.is_dataclass(operand) and not isinstance(operand, Threshold):
            fields = dataclasses.fields(operand)
            return type(operand)(**{field.name: self(getattr(operand, field.name)) for field in fields})
        return operand


def seeds(first: int, count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Runs a test with the draws of consecutive seeds; a failure names its seed."""

    def with_draws(test: Callable[..., None]) -> Callable[..., None]:
        def over_seeds(**arguments: Any) -> None:
            for seed in range(first, first + count):
                try:
                    test(Draw(seed), **arguments)
                except BaseException as error:
                    error.add_note(f"with seed {seed}")
                    raise

        own = list(inspect.signature(test).parameters.values())[1:]
        over_seeds.__name__, over_seeds.__doc__ = test.__name__, test.__doc__
        over_seeds.__signature__ = inspect.Signature(own)  # type: ignore[attr-defined]
        return over_seeds

    return with_draws


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


def edges() -> torch.Tensor:
    """Numbers halfway between neighbours of 16 bits, their float32 neighbours, and some beyond float16."""
    halves = torch.arange(0x7C00, dtype=torch.int32).to(torch.int16).view(torch.float16)
    middles = (halves[:-1].float() + halves[1:].float()) / 2
    bits = torch.cat([middles.view(torch.int32), torch.arange(0, 0x7F80, dtype=torch.int32) << 16 | 0x8000])
    near = torch.cat([bits - 1, bits, bits + 1]).view(torch.float32)
    return torch.cat([near, -near, torch.tensor([65519.996, 65520.0, 65536.0, 3.4e38])])
