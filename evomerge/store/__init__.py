"""A run's folder: append-only records, the only state that resuming reads.

Records are appended, never rewritten. A record is written only after the responses that it refers to are on disk, so a
process killed at any instant leaves at most a torn last line, which the next opening drops.
"""

from evomerge.lease import LeaseLost
from evomerge.store.files import write_json, write_text
from evomerge.store.folder import foreign_problem, read_json, read_manifest
from evomerge.store.run import RunStore
from evomerge.store.sweep import Sweep, SweepJob, is_sweep, read_sweep
from evomerge.store.turns import Turn
from evomerge.store.views.baselines import baselines
from evomerge.store.views.candidates import ESTIMATES, SELECTION_ESTIMATES, candidates, estimates, newly_asked
from evomerge.store.views.described import clusters_of, described_items
from evomerge.store.views.proxies import PROXIES, ProxyUse, proxies
from evomerge.store.views.unquantised import UNQUANTISED, Unquantised, unquantised

__all__ = [
    "ESTIMATES",
    "PROXIES",
    "SELECTION_ESTIMATES",
    "UNQUANTISED",
    "LeaseLost",
    "ProxyUse",
    "RunStore",
    "Sweep",
    "SweepJob",
    "Turn",
    "Unquantised",
    "baselines",
    "candidates",
    "clusters_of",
    "described_items",
    "estimates",
    "foreign_problem",
    "is_sweep",
    "newly_asked",
    "proxies",
    "read_json",
    "read_manifest",
    "read_sweep",
    "unquantised",
    "write_json",
    "write_text",
]
