"""The contract of merge methods: starts that mean what they are named after, results that depend on inputs alone.

Every promise is tried in every variant of the method's options, see :mod:`evomerge.contracts.method_cases`.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import torch

from evomerge.contracts.method_cases import (
    CONTEXT,
    Untouchable,
    family,
    in_every_variant_of,
    merge_prepared,
    merge_tensor,
    prepared,
    random_values,
    same_bits,
)
from evomerge.contracts.statistics_cases import statistics_for
from evomerge.errors import InputError
from evomerge.kernels import BLOCK, random_key, torch_only
from evomerge.methods import MergeMethod

__all__ = ["MethodContract"]

SHAPES = [(), (1,), (5,), (0,), (0, 4), (3, 0), (4, 1), (2, 3, 4)]
PREPARED_SHAPES = [(), (0,), (5,), (300, 70), (3, 0), (70_000,)]
CLOSE = 1e-6

Options = dict[str, Any]

in_every_variant = in_every_variant_of("method")


class MethodContract:
    """Promises of every merge method.

    Attributes:
        method: The method under test.
    """

    method: MergeMethod

    @property
    def count(self) -> int:
        """Three models, or as many as the method takes."""
        return self.method.models[1] or max(3, self.method.models[0])

    def merge(
        self, options: Options, base: torch.Tensor | None, models: Any, values: Any, **other: Any
    ) -> torch.Tensor:
        """Merges one tensor, see :func:`evomerge.contracts.method_cases.merge_tensor`."""
        return merge_tensor(self.method, options, (base, models), values, **other)

    def values(self, options: Options, seed: int = 0) -> Options:
        """Random coefficients within the bounds of the search."""
        return random_values(self.method, options, self.count, seed)

    def neutral(self, options: Options) -> Options:
        """Neutral coefficients."""
        declared = self.method.coefficients(options)
        return {c.name: (c.neutral,) * self.count if c.per_model else c.neutral for c in declared}

    # Declaration

    def test_declaration_is_whole(self) -> None:
        """Everything has words for people, and defaults are accepted."""
        method = self.method
        assert method.name.isidentifier()
        assert method.summary
        assert method.paper
        for name, option in method.options.items():
            assert option.doc, f"option {name} has no help"
            assert option.problem(name, option.default) is None

    def test_wrong_options_are_all_named(self) -> None:
        """One sentence for each option that is unknown or has a wrong value."""
        wrong = dict.fromkeys(self.method.options, object()) | {"no such option": True}
        problems: tuple[str, ...] = ()
        try:
            self.method.resolve(wrong)
        except InputError as error:
            problems = tuple(error.problems)
        assert len(problems) == len(wrong)
        assert all(f"method {self.method.name}" in problem for problem in problems)

    @in_every_variant
    def test_coefficients_are_searchable(self, options: Options) -> None:
        """Bounds of the search lie within what is accepted; weights or lambda set the scale, never both."""
        declared = {c.name: c for c in self.method.coefficients(options)}
        assert any(c.searched for c in declared.values())
        for c in declared.values():
            assert c.doc, f"coefficient {c.name} has no help"
            assert c.low <= c.neutral <= c.high
            assert c.minimum is None or c.minimum <= c.low
            assert c.maximum is None or c.high <= c.maximum
        if {"lambda", "weight"} <= set(declared):
            assert declared["lambda"].neutral == 1
            assert declared["lambda"].searched == declared["weight"].simplex

    # Starting points

    @in_every_variant
    def test_starts_lie_within_the_bounds(self, options: Options) -> None:
        """Starting points are complete and in bounds: the mean and every model, or neutral coefficients alone."""
        for count in range(self.method.models[0], self.count + 1):
            points = self.method.starts(count, options)
            assert set(points) <= {"neutral"} or {"uniform", *(f"model:{i}" for i in range(count))} <= set(points)
            for name, values in points.items():
                assert set(values) == {c.name for c in self.method.coefficients(options)}, name
                for c in self.method.coefficients(options):
                    value = values[c.name]
                    assert isinstance(value, tuple) == c.per_model, name
                    numbers = value if isinstance(value, tuple) else (value,)
                    assert len(numbers) == (count if c.per_model else 1), name
                    assert all(c.low <= number <= c.high for number in numbers), name
                    assert not c.simplex or abs(sum(numbers) - 1) < CLOSE, name

    @in_every_variant
    def test_starts_are_what_they_are_named_after(self, options: Options) -> None:
        """Exactly, as far as the method declares (``exact_starts``); near, in any case."""
        base, models = family(self.count)
        deltas = [model - base for model in models]
        wanted = {"uniform": torch.stack(models).mean(0)} | {f"model:{i}": model for i, model in enumerate(models)}
        wanted |= {f"task_arithmetic:{v}": base + v * torch.stack(deltas).sum(0) for v in (0.3, 0.5, 0.7)}
        wanted["neutral"] = self.merge(options, base, models, self.neutral(options))
        for name, values in self.method.starts(self.count, options).items():
            away = self.merge(options, base, models, values) - wanted[name]
            if self.method.exact_starts == "all" or (self.method.exact_starts == "models" and "model:" in name):
                assert away.abs().max() <= CLOSE, name
            else:
                assert away.norm() < max(delta.norm() for delta in deltas), name

    @in_every_variant
    def test_copies_of_one_expert_give_that_expert(self, options: Options) -> None:
        """From the uniform start, else with neutral coefficients; also where they fill more than one block.

        Of a method that declares otherwise (``copies``) what comes lies between the base and that expert, or anywhere.
        """
        if self.method.copies is None:
            return
        values = dict(self.method.starts(self.count, options).get("uniform", self.neutral(options)))
        for shape in ((37, 11), (BLOCK + 17,)):
            base, (model,) = family(1, shape)
            merged = self.merge(options, base, [model] * self.count, values)
            if not self.method.copies:
                low, high = torch.minimum(base, model), torch.maximum(base, model)
                assert ((merged >= low - CLOSE) & (merged <= high + CLOSE)).all()
            elif self.method.exact_starts == "none":
                assert (merged - model).norm() < 0.2 * (model - base).norm()
            else:
                assert (merged - model).abs().max() <= CLOSE

    # The base

    @in_every_variant
    def test_the_base_stays_where_nothing_is_added(self, options: Options) -> None:
        """Bit by bit, negative zeros too; a method that takes no base, or a base for nothing, does not look at one."""
        base, models = family(self.count)
        values = self.values(options)
        if self.method.base in ("optional", "none"):
            assert same_bits(self.merge(options, base, models, values), self.merge(options, None, models, values))
            return
        base[::7] = -0.0
        assert same_bits(self.merge(options, base, [base.clone() for _ in models], values), base)
        if "weight" in values:
            assert same_bits(self.merge(options, base, models, values | {"weight": (0.0,) * self.count}), base)

    # Inputs and results

    @in_every_variant
    def test_inputs_are_untouched(self, options: Options) -> None:
        """No tensor that is merged is written to."""
        base, models = family(self.count)
        copies = [tensor.clone() for tensor in (base, *models)]
        self.merge(options, base, models, self.values(options))
        assert all(same_bits(tensor, copy) for tensor, copy in zip((base, *models), copies, strict=True))

    @in_every_variant
    def test_only_stochastic_methods_depend_on_keys(self, options: Options) -> None:
        """The same keys give the same result, whatever torch's global generator; other keys another one."""
        base, models = family(self.count)
        values = self.values(options)
        torch.manual_seed(1)
        first = self.merge(options, base, models, values)
        torch.manual_seed(2)
        before = torch.get_rng_state()
        assert same_bits(self.merge(options, base, models, values), first)
        assert torch.equal(torch.get_rng_state(), before)
        other = self.merge(options, base, models, values, keys=[random_key(1, i, "x") for i in range(self.count)])
        assert same_bits(other, first) != self.method.stochastic

    @in_every_variant
    def test_scalars_vectors_and_empty_tensors(self, options: Options) -> None:
        """Every shape is merged, and finite."""
        for shape in SHAPES:
            base, models = family(self.count, shape)
            merged = self.merge(options, base, models, self.values(options))
            assert merged.shape == shape
            assert merged.isfinite().all(), shape

    @in_every_variant
    def test_strides_and_gradients_do_not_matter(self, options: Options) -> None:
        """Transposed parameters are read, and written to, as plain tensors are."""
        base, models = family(self.count)
        values = self.values(options)
        plain = self.merge(options, base, models, values)
        turned = [torch.nn.Parameter(tensor.t().contiguous().t()) for tensor in (base, *models)]
        for out in (torch.nn.Parameter(torch.zeros(11, 37)).t(), torch.nn.Parameter(torch.zeros(37, 11))):
            assert same_bits(self.merge(options, turned[0], turned[1:], values, out=out), plain)

    @in_every_variant
    def test_halves_are_computed_in_float32_and_rounded_once(self, options: Options) -> None:
        """In bfloat16 and float16."""
        for dtype in (torch.bfloat16, torch.float16):
            base, models = family(self.count)
            base, models = base.to(dtype), [model.to(dtype) for model in models]
            values = self.values(options)
            exact = self.merge(options, base.float(), [model.float() for model in models], values)
            assert same_bits(self.merge(options, base, models, values), exact)
            rounded = self.merge(options, base, models, values, out=torch.empty_like(base))
            assert same_bits(rounded, exact.to(dtype))

    @in_every_variant
    def test_the_order_of_the_models_matters_only_if_declared(self, options: Options) -> None:
        """Models reordered with their coefficients and keys give the same, unless ``symmetric_under`` is false.

        In any order with random coefficients; reversed with neutral ones, where all models count alike.
        """
        base, models = family(self.count)
        keys, away = [random_key(0, i, "x") for i in range(self.count)], 0.0
        orders = list(itertools.permutations(range(self.count)))
        for values, tried in ((self.values(options), orders), (self.neutral(options), orders[-1:])):
            first = self.merge(options, base, models, values, keys=keys)
            for order in tried:
                moved = {n: tuple(v[i] for i in order) if isinstance(v, tuple) else v for n, v in values.items()}
                reordered = [models[i] for i in order]
                merged = self.merge(options, base, reordered, moved, keys=[keys[i] for i in order])
                away = max(away, float((merged - first).abs().max()))
        assert (away <= CLOSE) == self.method.symmetric_under(options)

    @in_every_variant
    def test_candidates_share_what_is_prepared(self, options: Options) -> None:
        """A candidate's result does not depend on those before it."""
        base, models = family(self.count)
        points = [self.values(options, seed) for seed in range(3)]
        alone = [self.merge(options, base, models, values) for values in points]
        order = (0, 1, 2, 1, 0)
        shared = merge_prepared(self.method, options, (base, models), [points[which] for which in order])
        assert all(same_bits(out, alone[which]) for which, out in zip(order, shared, strict=True))

    @in_every_variant
    def test_what_is_prepared_is_plain_and_bounded(self, options: Options) -> None:
        """Contiguous arrays on the CPU that depend on no key; without ``prepare`` nothing prepared is read."""
        method, sizes = self.method, []
        for shape in PREPARED_SHAPES:
            base, models = family(self.count, shape)
            if method.prepare is None or method.prepared_bytes is None:
                context, sources = prepared(method, options, base, models)
                method.merge(context, replace(sources, prepared=Untouchable()), self.values(options), base.clone())
                continue
            contexts = [replace(CONTEXT, keys=(seed,) * self.count) for seed in (1, 2)]
            known = statistics_for(method.needs(options), base, models)
            first, second = (method.sources(own, base, models, options, known).prepared for own in contexts)
            sizes.append(sum(array.nbytes for array in first.values()))
            assert sizes[-1] <= method.prepared_bytes(shape, self.count, options), shape
            assert set(first) == set(second)
            assert not first or method.prepares is None or method.prepares(contexts[0], shape, options)
            for name, array in first.items():
                assert array.is_contiguous()
                assert array.device.type == "cpu"
                assert array.numpy().tobytes() == second[name].numpy().tobytes(), name
        some = method.prepares is None or any(method.prepares(CONTEXT, shape, options) for shape in PREPARED_SHAPES)
        assert method.prepare is None or not some or max(sizes) > 0

    @in_every_variant
    def test_torch_and_native_kernels_give_the_same_bytes(self, options: Options) -> None:
        """Whichever form of the kernels is in use."""
        base, models = family(self.count, (300, 70))
        tensors = base.bfloat16(), [model.bfloat16() for model in models]
        points = [self.values(options, seed) for seed in range(3)]
        native = merge_prepared(self.method, options, tensors, points)
        with torch_only():
            plain = merge_prepared(self.method, options, tensors, points)
        assert all(map(same_bits, native, plain))

    @in_every_variant
    def test_what_is_not_finite_is_never_hidden(self, options: Options) -> None:
        """NaN or infinity in one model reaches the result."""
        for broken in (torch.nan, torch.inf, -torch.inf):
            base, models = family(self.count)
            models[-1][3, 3] = broken
            assert not self.merge(options, base, models, self.values(options))[3, 3].isfinite()
