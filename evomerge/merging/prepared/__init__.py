"""Prepared arrays of methods: made once for all candidates.

- :mod:`.store`: where prepared arrays are kept, and shared by workers.
- :mod:`.inner`: the same for recipes inside of recipes; :mod:`.arrays`: both, as a merger reads them.
- :mod:`.notice`: a line now and then where preparing takes long; :mod:`.pace`: how long keeping them takes.
"""

from evomerge.merging.prepared.arrays import PreparedArrays
from evomerge.merging.prepared.inner import inner_sources, places
from evomerge.merging.prepared.pace import seconds_per_byte
from evomerge.merging.prepared.store import (
    Arrays,
    Place,
    PreparedSettings,
    PreparedStore,
    prepared_bound,
    prepared_bounds,
)

__all__ = [
    "Arrays",
    "Place",
    "PreparedArrays",
    "PreparedSettings",
    "PreparedStore",
    "inner_sources",
    "places",
    "prepared_bound",
    "prepared_bounds",
    "seconds_per_byte",
]
