"""The contract of steps after the merge: neutral ones change nothing, results depend on inputs alone.

Every promise is tried in every variant of the step's options, see :mod:`evomerge.contracts.method_cases`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from evomerge.contracts.method_cases import family, in_every_variant_of, random_values, same_bits
from evomerge.contracts.statistics_cases import statistics_for
from evomerge.errors import InputError
from evomerge.kernels import BLOCK, torch_only
from evomerge.methods import TensorContext, TensorSources
from evomerge.post import PostProcess, StepContext

__all__ = ["PostContract"]

SHAPES = [(), (1,), (5,), (0,), (0, 4), (3, 0), (4, 1), (2, 3, 4), (BLOCK + 17,)]
LAYERS = 3

Options = dict[str, Any]


in_every_variant = in_every_variant_of("step")


class PostContract:
    """Promises of every step after the merge.

    Attributes:
        step: The step under test.
    """

    step: PostProcess

    def values(self, options: Options, seed: int = 0) -> Options:
        """Random coefficients within the bounds of the search."""
        return random_values(self.step, options, 1, seed)

    def neutral(self, options: Options) -> Options:
        """Neutral coefficients."""
        return {c.name: c.neutral for c in self.step.coefficients(options)}

    def apply(self, options: Options, values: Options, tensors: Any, delta: torch.Tensor) -> torch.Tensor:
        """Applies the step to a copy of the merged delta of one layer, the only tensor of the model that is measured.

        Args:
            options: The step's options, complete.
            values: Its coefficients.
            tensors: The base's tensor and the models'.
            delta: The merged delta.
        """
        base, models = tensors
        sources, own = TensorSources(base, models, {}), delta.clone()
        known = statistics_for(self.step.needs(options), base, models)
        context = StepContext("x", 1, "mlp", LAYERS, options, statistics=known)
        survey = None
        if self.step.survey is not None:
            survey = self.step.survey([(TensorContext("x", 1, "mlp"), sources)], options)
            context = replace(context, survey=survey)
        if self.step.measure is not None and self.step.measures(options):
            context = replace(context, measured=self.step.measure([(context, sources, own)], survey, options))
        found = self.step.apply(context, sources, own, values)
        return own if found is None else found

    def test_declaration_is_whole(self) -> None:
        """Everything has words for people, and defaults are accepted."""
        step = self.step
        assert step.name.isidentifier()
        assert step.summary
        assert step.paper
        assert step.cost
        for name, option in step.options.items():
            assert option.doc, f"option {name} has no help"
            assert option.problem(name, option.default) is None

    def test_wrong_options_are_all_named(self) -> None:
        """One sentence for each option that is unknown or has a wrong value."""
        wrong = dict.fromkeys(self.step.options, object()) | {"no such option": True}
        problems: tuple[str, ...] = ()
        try:
            self.step.resolve(wrong)
        except InputError as error:
            problems = tuple(error.problems)
        assert len(problems) == len(wrong)
        assert all(f"step {self.step.name}" in problem for problem in problems)

    @in_every_variant
    def test_coefficients_are_searchable(self, options: Options) -> None:
        """One value per group; bounds of the search lie within what is accepted; no name is an option's too."""
        for c in self.step.coefficients(options):
            assert c.doc, f"coefficient {c.name} has no help"
            assert c.name not in (*self.step.options, "step")
            assert not c.per_model
            assert c.low <= c.neutral <= c.high
            assert c.minimum is None or c.minimum <= c.low
            assert c.maximum is None or c.high <= c.maximum

    @in_every_variant
    def test_where_it_says_so_nothing_changes(self, options: Options) -> None:
        """All elements keep their values where the step would be left out."""
        base, models = family(3)
        delta = models[0] - base
        for values in (self.neutral(options), self.values(options), self.values(options, 1)):
            if self.step.identity(values, options):
                assert torch.equal(self.apply(options, values, (base, models), delta), delta)

    @in_every_variant
    def test_inputs_are_untouched(self, options: Options) -> None:
        """Neither base nor models are written to."""
        base, models = family(3)
        copies = [tensor.clone() for tensor in (base, *models)]
        self.apply(options, self.values(options), (base, models), models[0] - base)
        assert all(same_bits(tensor, copy) for tensor, copy in zip((base, *models), copies, strict=True))

    @in_every_variant
    def test_the_same_comes_again(self, options: Options) -> None:
        """Whatever torch's global generator, which is left alone."""
        base, models = family(3)
        torch.manual_seed(1)
        first = self.apply(options, self.values(options), (base, models), models[0] - base)
        torch.manual_seed(2)
        before = torch.get_rng_state()
        assert same_bits(self.apply(options, self.values(options), (base, models), models[0] - base), first)
        assert torch.equal(torch.get_rng_state(), before)

    @in_every_variant
    def test_torch_and_native_kernels_give_the_same_bytes(self, options: Options) -> None:
        """Whichever form of the kernels is in use."""
        base, models = family(3, (300, 70))
        values, delta = self.values(options), models[0] - base
        merged = self.apply(options, values, (base, models), delta)
        with torch_only():
            assert same_bits(self.apply(options, values, (base, models), delta), merged)

    @in_every_variant
    def test_scalars_vectors_and_empty_tensors(self, options: Options) -> None:
        """Results are finite float32 of that shape; a delta of zeros stays one, unless the step adds to it."""
        for shape in SHAPES:
            base, models = family(3, shape)
            for delta in (models[0] - base, torch.zeros(shape)):
                found = self.apply(options, self.values(options), (base, models), delta)
                assert found.shape == shape
                assert found.dtype == torch.float32
                assert found.isfinite().all(), shape
                assert found.any() or not delta.any() or shape in ((), (1,)), shape
            assert self.step.adds or not found.any(), shape

    @in_every_variant
    def test_models_of_narrow_types_are_read(self, options: Options) -> None:
        """The merged delta is float32 all the same."""
        base, models = family(3)
        narrow = base.bfloat16(), [model.bfloat16() for model in models]
        delta = models[0] - base
        exact = self.apply(options, self.values(options), (narrow[0].float(), [m.float() for m in narrow[1]]), delta)
        assert same_bits(self.apply(options, self.values(options), narrow, delta), exact)

    @in_every_variant
    def test_what_is_not_finite_is_never_hidden(self, options: Options) -> None:
        """NaN or infinity in the merged delta reaches the result."""
        for broken in (torch.nan, torch.inf, -torch.inf):
            base, models = family(3)
            delta = models[0] - base
            delta[3, 3] = broken
            assert not self.apply(options, self.values(options), (base, models), delta)[3, 3].isfinite()
