"""What every method in the folder promises, in every variant."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from evomerge import methods
from evomerge.errors import InputError
from evomerge.kernels import BLOCK, random_key, torch_only
from tests.methods.variants import Variant, label, merge, n_models, some_values, starts, surveyed, variants

VARIANTS = pytest.mark.parametrize("variant", variants(), ids=label)
NAMES = pytest.mark.parametrize("name", methods.names())


def checkpoint(shape: Sequence[int], seed: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))


def family(count: int, shape: Sequence[int] = (37, 11)) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """A base and experts near it; some elements are nobody's, some are shared, some oppose each other."""
    base = checkpoint(shape, 0)
    deltas = [checkpoint(shape, 1 + i, 0.05) for i in range(count)]
    deltas = [torch.where(delta.abs() < 0.02, torch.zeros(()), (delta * 128).round() / 128) for delta in deltas]
    return base, [base + delta for delta in deltas]


def needs_base(variant: Variant) -> bool:
    return methods.load(variant[0]).base == "required"


def approximates(variant: Variant) -> bool:
    """Whether no coefficients give one model, or the mean, exactly: PCB drops the least and what opposes the sum."""
    return variant[0] == "pcb"


def elects(variant: Variant) -> bool:
    return "votes" in methods.load(variant[0]).options


def test_the_folder_is_the_registry() -> None:
    folder = Path(methods.__file__).parent
    assert list(methods.names()) == sorted(path.stem for path in folder.glob("[!_]*.py"))
    assert {"linear", "slerp", "task_arithmetic", "ties", "dare_linear", "dare_ties"} <= set(methods.names())
    assert {"breadcrumbs", "breadcrumbs_ties", "della", "della_linear", "pcb", "sce"} <= set(methods.names())
    with pytest.raises(InputError, match="did you mean 'dare_ties'"):
        methods.load("dare-ties")
    with pytest.raises(InputError, match="no merge method"):
        methods.load("_shared")


@NAMES
def test_declaration_is_complete(name: str) -> None:
    method = methods.load(name)
    assert method.name == name
    assert method.summary
    assert "http" in method.paper
    assert all(
        option.doc and (option.choices is None or option.default in option.choices)
        for option in method.options.values()
    )
    assert method.stochastic == name.startswith(("dare", "della"))


@VARIANTS
def test_coefficients_are_searchable(variant: Variant) -> None:
    method = methods.load(variant[0])
    declared = method.coefficients(method.resolve(dict(variant[1])))
    assert any(coefficient.searched for coefficient in declared)
    for c in declared:
        assert c.doc
        assert c.low <= c.neutral <= c.high
        assert c.minimum is None or c.minimum <= c.low
        assert c.maximum is None or c.high <= c.maximum
    names = {c.name: c for c in declared}
    if "lambda" in names:
        assert names["lambda"].neutral == 1
        assert names["lambda"].searched == names["weight"].simplex, "either the weights or lambda set the scale"


@VARIANTS
def test_starts_lie_within_the_bounds(variant: Variant) -> None:
    method = methods.load(variant[0])
    options = method.resolve(dict(variant[1]))
    for count in range(method.models[0], (method.models[1] or 3) + 1):
        points = method.starts(count, options)
        assert {"uniform", *(f"model:{i}" for i in range(count))} <= set(points)
        for values in points.values():
            assert set(values) == {c.name for c in method.coefficients(options)}
            for c in method.coefficients(options):
                value = values[c.name]
                assert isinstance(value, tuple) == c.per_model
                numbers = value if isinstance(value, tuple) else (value,)
                assert len(numbers) == (count if c.per_model else 1)
                assert all(c.low <= number <= c.high for number in numbers)
                assert not c.simplex or sum(numbers) == pytest.approx(1)


@VARIANTS
def test_each_model_alone_is_a_start(variant: Variant) -> None:
    count = n_models(variant)
    base, models = family(count)
    for i, model in enumerate(models):
        alone = merge(variant, models, base, starts(variant, count)[f"model:{i}"])
        if approximates(variant):
            # An element that opposes the sum of all deltas stays the base's.
            assert torch.minimum((alone - model).abs(), (alone - base).abs()).max() < 1e-6
            assert (alone - model).norm() < 0.5 * (model - base).norm()
        else:
            torch.testing.assert_close(alone, model, rtol=0, atol=1e-6)


@VARIANTS
def test_uniform_and_task_arithmetic_starts(variant: Variant) -> None:
    count = n_models(variant)
    base, models = family(count)
    points = starts(variant, count)
    if elects(variant) or approximates(variant) or variant[0] == "slerp":
        assert len(points) == count + 1 + 3 * (variant[0] != "slerp")
        return
    mean = torch.stack(models).mean(0)
    torch.testing.assert_close(merge(variant, models, base, points["uniform"]), mean, rtol=0, atol=1e-6)
    if needs_base(variant):
        for value in (0.3, 0.5, 0.7):
            wanted = base + value * sum(model - base for model in models)
            got = merge(variant, models, base, points[f"task_arithmetic:{value}"])
            torch.testing.assert_close(got, wanted, rtol=0, atol=1e-6)


@VARIANTS
def test_copies_of_one_expert_give_that_expert(variant: Variant) -> None:
    count = n_models(variant)
    base, models = family(1)
    merged = merge(variant, models * count, base, starts(variant, count)["uniform"])
    if approximates(variant):
        assert (merged - models[0]).norm() < 0.2 * (models[0] - base).norm()
    else:
        torch.testing.assert_close(merged, models[0], rtol=0, atol=1e-6)


@VARIANTS
def test_experts_that_are_the_base_leave_it_bit_by_bit(variant: Variant) -> None:
    count = n_models(variant)
    base = checkpoint((1000,), 0)
    base[::7] = -0.0
    copies = [base.clone() for _ in range(count)]
    if needs_base(variant):
        merged = merge(variant, copies, base, some_values(variant, count))
        assert torch.equal(merged.view(torch.int32), base.view(torch.int32))
    else:
        merged = merge(variant, copies, None, starts(variant, count)["uniform"])
        torch.testing.assert_close(merged, base, rtol=0, atol=1e-6)


@VARIANTS
def test_no_weight_means_the_base(variant: Variant) -> None:
    base, models = family(2)
    values = some_values(variant, 2)
    if needs_base(variant):
        assert torch.equal(merge(variant, models, base, values | {"weight": (0.0, 0.0)}), base)


@VARIANTS
def test_inputs_are_untouched(variant: Variant) -> None:
    count = n_models(variant)
    base, models = family(count)
    copies = [tensor.clone() for tensor in (base, *models)]
    merge(variant, models, base, some_values(variant, count))
    for tensor, copy in zip((base, *models), copies, strict=True):
        assert torch.equal(tensor.view(torch.int32), copy.view(torch.int32))


@VARIANTS
def test_same_keys_same_result_whatever_the_global_generator(variant: Variant) -> None:
    count = n_models(variant)
    base, models = family(count)
    values = some_values(variant, count)
    torch.manual_seed(1)
    first = merge(variant, models, base, values)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(merge(variant, models, base, values), first)
    assert torch.equal(torch.get_rng_state(), before)
    other = merge(variant, models, base, values, keys=[random_key(1, i, "x") for i in range(count)])
    assert torch.equal(other, first) != methods.load(variant[0]).stochastic


@VARIANTS
@pytest.mark.parametrize("shape", [(), (1,), (5,), (0,), (0, 4), (3, 0), (4, 1), (2, 3, 4)], ids=str)
def test_scalars_vectors_and_empty_tensors(variant: Variant, shape: tuple[int, ...]) -> None:
    count = n_models(variant)
    base, models = family(count, shape)
    merged = merge(variant, models, base, some_values(variant, count))
    assert merged.shape == shape
    assert merged.isfinite().all()


@VARIANTS
def test_strides_and_gradients_do_not_matter(variant: Variant) -> None:
    count = n_models(variant)
    base, models = family(count)
    values = some_values(variant, count)
    plain = merge(variant, models, base, values)
    turned = [tensor.t().contiguous().t() for tensor in (base, *models)]
    parameters = [torch.nn.Parameter(tensor) for tensor in turned]
    out = torch.nn.Parameter(torch.zeros(11, 37)).t()
    assert torch.equal(merge(variant, parameters[1:], parameters[0], values, out=out), plain)
    live = torch.nn.Parameter(torch.zeros(37, 11))
    assert torch.equal(merge(variant, models, base, values, out=live), plain)


@VARIANTS
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_halves_are_computed_in_float32_and_rounded_once(variant: Variant, dtype: torch.dtype) -> None:
    count = n_models(variant)
    base, models = family(count)
    base, models = base.to(dtype), [model.to(dtype) for model in models]
    values = some_values(variant, count)
    exact = merge(variant, [model.float() for model in models], base.float(), values)
    assert torch.equal(merge(variant, models, base, values), exact)
    rounded = merge(variant, models, base, values, out=torch.empty(base.shape, dtype=dtype))
    assert torch.equal(rounded, exact.to(dtype))


@VARIANTS
def test_the_order_of_the_models_does_not_matter(variant: Variant) -> None:
    count = n_models(variant)
    base, models = family(count)
    values = some_values(variant, count)
    keys = [random_key(0, i, "x") for i in range(count)]
    first = merge(variant, models, base, values, keys=keys)
    for order in itertools.permutations(range(count)):
        moved = {
            name: tuple(value[i] for i in order) if isinstance(value, tuple) else value
            for name, value in values.items()
        }
        if variant[0] == "slerp" and order != (0, 1):
            moved["t"] = 1 - values["t"]
        got = merge(variant, [models[i] for i in order], base, moved, keys=[keys[i] for i in order])
        torch.testing.assert_close(got, first, rtol=0, atol=1e-6)


@VARIANTS
def test_what_is_prepared_serves_any_sequence_of_candidates(variant: Variant) -> None:
    count = n_models(variant)
    base, models = family(count)
    method = methods.load(variant[0])
    options = method.resolve(dict(variant[1]))
    context = methods.TensorContext("x", keys=tuple(random_key(0, i, "x") for i in range(count)))
    base_or_none = None if method.base == "none" else base
    sources = surveyed(method, context, method.sources(context, base_or_none, models, options))
    for seed in (0, 1, 2, 1, 0):
        values, out = some_values(variant, count, seed), torch.empty(base.shape)
        method.merge(context, sources, values, out)
        assert torch.equal(out, merge(variant, models, base, values))


@VARIANTS
@pytest.mark.parametrize("shape", [(), (0,), (5,), (300, 70), (3, 0), (70_000,)], ids=str)
def test_what_is_prepared_is_plain_bounded_and_depends_on_no_key(variant: Variant, shape: tuple[int, ...]) -> None:
    count = n_models(variant)
    base, models = family(count, shape)
    method = methods.load(variant[0])
    options = method.resolve(dict(variant[1]))
    first, second = (
        method.sources(methods.TensorContext("x", keys=(seed,) * count), base, models, options).prepared
        for seed in (1, 2)
    )
    bound = 0 if method.prepared_bytes is None else method.prepared_bytes(shape, count, options)
    assert sum(array.nbytes for array in first.values()) <= bound
    assert set(first) == set(second)
    for name, array in first.items():
        assert array.is_contiguous()
        assert array.device.type == "cpu"
        assert array.numpy().tobytes() == second[name].numpy().tobytes()


@VARIANTS
def test_torch_and_compiled_kernels_give_the_same_bytes(variant: Variant) -> None:
    count = n_models(variant)
    base, models = family(count, (300, 70))
    base, models = base.bfloat16(), [model.bfloat16() for model in models]
    for seed in range(3):
        values = some_values(variant, count, seed)
        merged = merge(variant, models, base, values, out=torch.empty(base.shape, dtype=torch.bfloat16))
        with torch_only():
            plain = merge(variant, models, base, values, out=torch.empty(base.shape, dtype=torch.bfloat16))
        assert torch.equal(merged.view(torch.int16), plain.view(torch.int16))


@VARIANTS
@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
def test_what_is_not_finite_is_never_hidden(variant: Variant, broken: float) -> None:
    count = n_models(variant)
    base, models = family(count)
    models[-1][3, 3] = broken
    values = some_values(variant, count)
    assert not merge(variant, models, base, values)[3, 3].isfinite()


@VARIANTS
def test_large_tensors_are_merged_like_small_ones(variant: Variant) -> None:
    """More than one block, and a remainder: elements repeat, so the merged ones must too, except for random masks."""
    count = n_models(variant)
    base, models = family(count, (64,))
    values = some_values(variant, count)
    everything = {"density": (1.0,) * count, "gamma": (0.0,) * count, "select_topk": 1.0, "ratio": 1.0}
    values |= {name: value for name, value in everything.items() if name in values}
    repeats = BLOCK // 64 + 3
    large = merge(variant, [model.repeat(repeats) for model in models], base.repeat(repeats), values)
    small = merge(variant, models, base, values)
    torch.testing.assert_close(large.view(repeats, 64), small.expand(repeats, 64), rtol=0, atol=1e-6)


@NAMES
def test_wrong_options_are_all_named(name: str) -> None:
    method = methods.load(name)
    wrong = dict.fromkeys(method.options, "nonsense") | {"normalize": True}
    with pytest.raises(InputError) as caught:
        method.resolve(wrong)
    assert len(caught.value.problems) == len(wrong)
    assert all(f"method {name}" in problem for problem in caught.value.problems)
    if "normalise" in method.options:
        assert "did you mean 'normalise'" in str(caught.value)
