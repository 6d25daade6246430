"""One audit from its configuration to its judgement."""

from __future__ import annotations

import functools

from evomerge.errors import Findings, InputError
from evomerge.report.audit.judgement import Audit, judge
from evomerge.report.audit.pairing import pair
from evomerge.run.audit.config import AuditConfig
from evomerge.run.audit.sources import read_samples

MOST = 26  # models on one page


def audit(config: AuditConfig) -> Audit:
    """Judges whether the first model scores higher than the others on the items that all of them answered.

    Args:
        config: Files, metric, clusters and the number of models tried.

    Raises:
        InputError: With everything that is wrong with the files, or keeps them from being compared.
    """
    words = [("a", config.a), ("b", config.b), *(("c", word) for word in config.c)]
    if len(words) > MOST:
        raise InputError(f"c: expected at most {MOST - 2} files, came {len(config.c)}")
    found = Findings()
    read = [found.attempt(functools.partial(read_samples, key, word, config.split)) for key, word in words]
    found.settle()
    files = [samples for samples in read if samples is not None]
    return judge(files, pair(files, config.metric, config.cluster), config.metric, config.tried)
