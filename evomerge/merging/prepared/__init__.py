"""Prepared arrays of methods: made once for all candidates.

- :mod:`.store`: where prepared arrays are kept, and shared by workers.
- :mod:`.notice`: a line now and then where preparing takes long.
"""

from evomerge.merging.prepared.store import (
    Arrays,
    Place,
    PreparedSettings,
    PreparedStore,
    prepared_bound,
    prepared_bounds,
)

__all__ = ["Arrays", "Place", "PreparedSettings", "PreparedStore", "prepared_bound", "prepared_bounds"]
