"""What all methods that optimise once per matrix promise: the same bits on any number of threads, and their memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from evomerge import methods
from evomerge.contracts.method_cases import family
from evomerge.methods import TensorContext

CONTEXT = TensorContext("model.layers.1.mlp.up_proj.weight", 1, "mlp")
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("swudi", {}),
    ("aswudi", {}),
    ("iwudi", {}),
    ("wudi", {"steps": 2}),
    ("wudi", {"optimiser": "sgd"}),
    ("optmerge", {}),
    ("optmerge", {"target": "centred", "optimiser": "adam", "steps": 2}),
    ("doge", {"steps": 2, "scope": "tensor"}),
]


@pytest.fixture
def threads() -> Iterator[None]:
    """The number of threads is what it was afterwards."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_the_number_of_threads_does_not_matter(threads: None, name: str, options: dict[str, Any]) -> None:
    """To the last bit of what is prepared, and of the merge."""
    method, (base, models) = methods.load(name), family(3, (384, 1100))
    resolved = method.resolve(options)
    values = {c.name: (c.neutral,) * 3 if c.per_model else c.neutral for c in method.coefficients(resolved)}
    found = []
    for count in (1, 3):
        torch.set_num_threads(count)
        sources, merged = method.sources(CONTEXT, base, models, resolved), torch.empty(base.shape)
        method.merge(CONTEXT, sources, values, merged)
        found.append({**sources.prepared, "merged": merged})
        assert torch.get_num_threads() == count
    for name in found[0]:
        assert torch.equal(found[0][name], found[1][name]), name


@pytest.mark.parametrize("shape", [(96, 700), (500, 300)])
@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_memory_is_predicted(name: str, options: dict[str, Any], shape: tuple[int, int]) -> None:
    """No less than the most that is ever allocated at once, what is given included, and not far from it."""
    method, (base, models) = methods.load(name), family(3, shape)
    resolved = method.resolve(options)
    assert method.prepare is not None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as observed:
        method.prepare(CONTEXT, base, models, resolved)
    events = [event for event in observed.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    predicted = method.working_bytes(shape, 4, resolved)
    print(f"{name} {shape}: predicted {predicted / 1e6:.1f} MB, peak {most / 1e6:.1f} MB, {predicted / most:.2f}")
    assert most <= predicted < 3 * most
    assert method.working_bytes(shape[:1], 4, resolved) == 0
