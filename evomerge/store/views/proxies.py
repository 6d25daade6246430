"""How far a smooth metric ranked the candidates of a run in the place of the one that was wanted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from evomerge.errors import InputError
from evomerge.store.run import RunStore

__all__ = ["PROXIES", "ProxyUse", "proxies"]

PROXIES = "proxies.json"


@dataclass(frozen=True)
class ProxyUse:
    """The fate of a proxy for one metric, as the last batch was ranked.

    Attributes:
        proxy: The smooth metric.
        share: Its share in what ranked: 0, 1/2 or 1.
        tau: Kendall's tau of the two over candidates; None where there were too few.
        candidates: How many had answered enough.
        needed: The tau from which it would have had a share.
    """

    proxy: str
    share: float
    tau: float | None
    candidates: int
    needed: float

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


def proxies(store: RunStore) -> dict[str, ProxyUse]:
    """Metric key to what became of its proxy; empty where none was wanted.

    Raises:
        InputError: If the file holds something else.
    """
    data = store.read_json(PROXIES) or {}
    try:
        return {
            key: ProxyUse(
                str(own["proxy"]),
                float(own["share"]),
                None if own["tau"] is None else float(own["tau"]),
                int(own["candidates"]),
                float(own["needed"]),
            )
            for key, own in data.items()
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{store.folder / PROXIES} does not hold the use of proxies by metric: {error}. Go on with the run, which "
            "writes it again, or take the file from a copy"
        ) from error
