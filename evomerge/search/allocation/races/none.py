"""No race: every candidate of a batch is asked the whole window."""

from __future__ import annotations

from evomerge.search.allocation.races._shared.spec import RaceSpec

RACE = RaceSpec(name="none", title="every candidate is asked all items of its batch", decide=None)
