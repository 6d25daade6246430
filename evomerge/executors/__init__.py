"""Where jobs run. An executor takes jobs and hands back outcomes; it knows nothing of models or of search.

`in_process` runs them here, one after the other; `processes` runs them in fresh processes of this machine. A worker is
made where it runs, by a factory without arguments, and every outcome depends on its job alone, so the number of workers
changes nothing but the time.
"""

from evomerge.executors._shared.protocol import Executor, ExecutorError, MakeWorker, Worker
from evomerge.executors.local import in_process
from evomerge.executors.processes import processes

__all__ = ["Executor", "ExecutorError", "MakeWorker", "Worker", "in_process", "processes"]
