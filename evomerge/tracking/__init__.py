"""Trackers: where the course of a search is kept besides its own folder. The folder is the registry.

A run keeps its events in ``events.jsonl`` whatever is chosen here. A tracker gets less, and in order: the
configuration; the baselines' scores; per evaluation a candidate's scores and seconds, the best so far, the hypervolume
and the number of failures; in the end the scores on all splits with their intervals, and the report. It is told in a
thread of its own and can neither change a search nor end it. It says itself what it holds (`Tracker.last`), so that
after a crash a resumed run sends what is missing, once.

A new tracker is one file, ``evomerge/tracking/mytracker.py``. This one appends to a file::

    import json
    from evomerge.options import Option
    from evomerge.tracking import TrackerSpec


    class Lines:
        def __init__(self, path):
            self.path = path
            lines = path.read_text().splitlines(keepends=True) if path.exists() else []
            self.whole = [line for line in lines if line.endswith("}" + chr(10))]  # a crash may tear the last one
            path.write_text("".join(self.whole))

        def last(self):
            return max((int(json.loads(line)["evaluations"]) for line in self.whole), default=-1)

        def log(self, entries):
            with self.path.open("a") as file:
                for entry in entries:
                    print(json.dumps(dict(entry.values)), file=file)

        def conclude(self, step, values, files):
            self.path.with_suffix(".end").write_text(json.dumps(dict(values)))

        def close(self):
            pass


    TRACKER = TrackerSpec(
        name="mytracker",
        title="lines of a file",
        make=lambda run, options: Lines(run.folder / options["file"]),
        options={"file": Option("course.jsonl", None, str, "name of the file")},
    )

Nothing else is edited: ``tracking=[mytracker] tracking_options.mytracker.file=mine.jsonl`` works, and
:mod:`evomerge.contracts.tracker` holds its contract. A library is imported in ``make`` alone and named in ``library``,
so that whoever lacks it is told before any work. Names with a leading underscore are shared parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evomerge.registry import Registry
from evomerge.tracking._shared.protocol import STEP, Entry, TrackedRun, Tracker
from evomerge.tracking._shared.spec import TrackerSpec, TrackingSettings
from evomerge.tracking._shared.tracking import Tracking, flattened

__all__ = [
    "STEP",
    "Entry",
    "TrackedRun",
    "Tracker",
    "TrackerSpec",
    "Tracking",
    "TrackingSettings",
    "flattened",
    "load",
    "names",
    "problems",
]

_REGISTRY = Registry[TrackerSpec](__name__, __path__, "TRACKER", "tracker")
names = _REGISTRY.names
load = _REGISTRY.load


def problems(chosen: Sequence[str], options: Mapping[str, Any]) -> list[str]:
    """Problems of a choice of trackers, one sentence each, with the keys of the command line before them.

    Args:
        chosen: Names of known trackers.
        options: Tracker to its options.
    """
    found = [f"tracking: {name} is given twice" for name in dict.fromkeys(chosen) if list(chosen).count(name) > 1]
    absent = (load(name).missing() for name in dict.fromkeys(chosen))
    found += [f"tracking: {problem}" for problem in absent if problem]
    for name, given in options.items():
        if name not in names():
            found.append(f"tracking_options: there is no tracker {name!r}; there are {', '.join(names())}")
        elif not isinstance(given, Mapping):
            found.append(f"tracking_options.{name}: expected a mapping such as {{project: mine}}, came {given!r}")
        else:
            found += [f"tracking_options.{name}: {problem}" for problem in load(name).problems(given)]
    return found
