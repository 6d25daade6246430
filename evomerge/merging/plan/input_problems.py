"""Inputs that sources lack or have in another shape, told a few of each source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from evomerge.merging.plan.outputs import OutputTensor

_SHOWN = 3


def input_problems(tensors: Iterable[OutputTensor]) -> Iterator[str]:
    """Tensors that sources lack or have in another shape, a few of each source."""
    found: dict[int, list[str]] = {}
    for tensor in tensors:
        for entry in tensor.inputs:
            spec = entry.source.specs.get(entry.name)
            if spec is not None and entry.shape == tuple(tensor.merged_spec.shape):
                continue
            has = "no such tensor" if spec is None else f"shape {list(spec.shape)}"
            wanted = f"{entry.name!r} for {tensor.name!r}" if entry.name != tensor.name else f"{entry.name!r}"
            found.setdefault(id(entry.source), []).append(
                f"{str(entry.source.path)!r} should hold {wanted} of shape {list(tensor.spec.shape)}, but has {has}"
            )
    for problems in found.values():
        yield from first_of(problems, "more tensors do not fit there")


def first_of(problems: Sequence[str], others: str) -> list[str]:
    """A few of many problems, and how many others there are."""
    left = len(problems) - _SHOWN
    return [*problems[:_SHOWN], *([f"{left} {others}"] if left > 0 else [])]
