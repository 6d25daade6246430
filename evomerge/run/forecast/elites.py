"""The models of elites in later rounds of a search: where they find room, and the seconds that making them takes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from evomerge.merging import PreparedSettings
from evomerge.run.assemble import Assembly

__all__ = ["KeptElites", "kept_elites"]


@dataclass(frozen=True)
class KeptElites:
    """Models of elites, of each later round as many as it takes at most.

    Attributes:
        rounds: Number of elites of each later round.
        size: Bytes of one model.
        kept: Most bytes that are kept at one time: on ``disk``, in each worker's ``memory``.
        largest: Bytes of the largest tensor.
        nowhere: For each later round how many of its elites find no room, so that each candidate merges them anew.
    """

    rounds: tuple[int, ...] = ()
    size: int = 0
    kept: Mapping[str, int] | None = None
    largest: int = 0
    nowhere: tuple[float, ...] = ()

    def at(self, place: str) -> int:
        """Most bytes that are kept at a place."""
        return (self.kept or {}).get(place, 0)

    def reading(self, merging: int) -> int:
        """Most bytes of one tensor of all elites of a round, as they are merged before their models are kept.

        Args:
            merging: Bytes that merging takes of the models that the search began with.
        """
        return max(self.rounds, default=0) * (self.largest + merging)

    def seconds(self, each: float, candidates: int, share: int, capacity: int, per_byte: float) -> float:
        """Wall seconds of making models of elites, and of merging those anew that find no room.

        The first candidate of a round reads its elites tensor by tensor; for the second they are merged to be kept.

        Args:
            each: Seconds of merging one elite.
            candidates: Candidates of the search.
            share: Candidates of each round but the last.
            capacity: Candidates at one time; elites are made by one worker, which the others wait for.
            per_byte: Seconds of keeping a byte on disk.
        """
        total = 0.0
        for number, (count, nowhere) in enumerate(zip(self.rounds, self.nowhere, strict=True), 2):
            left = candidates - share * (number - 1)
            own = max(min(left, share) if number <= len(self.rounds) else left, 0)
            if not own:
                break
            total += (2 * count + math.ceil(own / capacity) * nowhere) * each
            total += per_byte * min((count - nowhere) * self.size, self.at("disk"))
        return total


def kept_elites(assembly: Assembly, prepared: Mapping[str, int]) -> KeptElites:
    """Predicts room from headers; none of a search of one round.

    Args:
        assembly: The search.
        prepared: Bytes that methods prepare, by place: these come first.
    """
    rounds, model = assembly.config.round, assembly.config.model
    if rounds.count == 1:
        return KeptElites()
    tensors = {name: tensor.spec.nbytes for name, tensor in assembly.outputs.merged.items()}
    limits = PreparedSettings(
        "the run's folder",
        max(model.prepared_disk - prepared["disk"], 0),
        max(model.prepared_memory - prepared["memory"], 0),
    )

    def placed(models: int) -> Counter[str]:
        bounds = {f"{number} {name}": most for number in range(models) for name, most in tensors.items()}
        found: Counter[str] = Counter()
        for name, place in limits.plan(bounds).items():
            found[place] += bounds[name]
        return found

    size = sum(tensors.values())
    counts = tuple(rounds.wanted(number) for number in range(2, rounds.count + 1))
    nowhere = tuple(placed(count)["nowhere"] / max(size, 1) for count in counts)
    return KeptElites(counts, size, placed(sum(counts)), max(tensors.values()), nowhere)
