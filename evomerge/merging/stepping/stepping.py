"""The steps of a plan at work, on one tensor after the other and on all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from evomerge.checkpoints import TensorSpec
from evomerge.kernels import is_finite
from evomerge.merging.buffers import Buffer
from evomerge.merging.finiteness import NonFinite
from evomerge.merging.plan.common import Finding
from evomerge.merging.plan.merge_plan import MergePlan
from evomerge.merging.stepping.deltas import Merged
from evomerge.merging.stepping.findings import Findings
from evomerge.methods import TensorSet, TensorSources
from evomerge.post import StepContext


class Stepping:
    """Merges with steps, for one merger.

    Args:
        device: Where merging is computed.
        findings: What is known of whole models.
    """

    def __init__(self, device: torch.device, findings: Findings | None = None) -> None:
        self.known = findings or Findings()
        self._buffer = Buffer(device)

    def findings(
        self, plan: MergePlan, surveyed: TensorSet, merged: Callable[[], Iterable[Merged]]
    ) -> tuple[Finding, ...]:
        """Findings of all steps of a plan, in their order; empty without steps.

        Args:
            plan: The plan.
            surveyed: The tensors that are merged, for surveys.
            merged: Gives all tensors that a method merges, for what is measured.

        Raises:
            NonFinite: If a merged tensor that is measured is not finite.
        """
        return self.known.of(plan, surveyed, lambda found: self._deltas(plan, merged(), found)) if plan.steps else ()

    def merge(self, plan: MergePlan, merged: Merged, findings: Sequence[Finding], out: torch.Tensor) -> None:
        """Writes one tensor: base plus the merged delta as all steps leave it.

        Args:
            plan: The plan.
            merged: The tensor.
            findings: Of all steps.
            out: Overwritten.
        """
        memory = out if out.dtype == torch.float32 and out.is_contiguous() else None
        assert merged.tensor.row is not None
        last = max(plan.active[merged.tensor.row], default=None)
        factors = None if last is None else plan.steps[last].process.factors
        if last is None or factors is None:
            merged.put_back(self._stepped(plan, merged, findings, memory), out)
            return
        context, values = (
            _context(plan, merged, last, findings[last]),
            plan.steps[last].values(merged.tensor.row),
        )
        delta = self._stepped(plan, merged, findings[:last], memory)
        merged.put_back(delta, out, factors(context, delta.shape, values))

    def _stepped(
        self, plan: MergePlan, merged: Merged, findings: Sequence[Finding], memory: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The merged delta as the first steps leave it, as many as there are findings."""
        tensor = merged.tensor
        assert tensor.row is not None
        if memory is None:
            memory = self._buffer(tensor.name, TensorSpec(torch.float32, tensor.merged_spec.shape))
        delta = merged.delta(memory)
        for place in plan.active[tensor.row]:
            if place < len(findings):
                step, context = plan.steps[place], _context(plan, merged, place, findings[place])
                found = step.process.apply(context, merged.sources, delta, step.values(tensor.row))
                delta = delta if found is None else _checked(found, delta, f"step {step.process.name}", tensor.name)
        return delta

    def _deltas(
        self, plan: MergePlan, merged: Iterable[Merged], findings: Sequence[Finding]
    ) -> Iterator[tuple[StepContext, TensorSources, torch.Tensor]]:
        for own in merged:
            delta = self._stepped(plan, own, findings)
            if not is_finite(delta):
                raise NonFinite(own.tensor.name, delta.dtype)
            yield _context(plan, own, len(findings), Finding()), own.sources, delta


def _context(plan: MergePlan, merged: Merged, place: int, finding: Finding) -> StepContext:
    own, step = merged.tensor.context, plan.steps[place]
    assert own is not None
    known = merged.statistics(step.process.needs(step.options))
    found = finding.survey, finding.measured, known
    return StepContext(own.name, own.layer, own.kind, plan.outputs.layers, step.options, *found)


def _checked(found: torch.Tensor, delta: torch.Tensor, who: str, name: str) -> torch.Tensor:
    """The delta that a step has returned.

    Raises:
        ValueError: If it is no float32 tensor of the delta's shape.
    """
    if found.shape != delta.shape or found.dtype != torch.float32:
        raise ValueError(
            f"expected {who} to return a float32 tensor of shape {list(delta.shape)} for {name!r}, it returned "
            f"{found.dtype} of shape {list(found.shape)}"
        )
    return found
