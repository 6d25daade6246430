"""What is asked of a worker, and the record of what came of it.

These values cross every border of the program (search to worker, worker to store, store to report) and know neither
who made them nor who will read them.
"""

from evomerge.evaluation.objective import Constraint, Objective
from evomerge.evaluation.outcome import ERROR_KINDS, Failure, Job, Outcome, Response
from evomerge.evaluation.record import SPLITS, Evaluation, ResponseRef

__all__ = [
    "ERROR_KINDS",
    "SPLITS",
    "Constraint",
    "Evaluation",
    "Failure",
    "Job",
    "Objective",
    "Outcome",
    "Response",
    "ResponseRef",
]
