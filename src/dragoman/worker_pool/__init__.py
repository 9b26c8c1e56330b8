"""Worker processes for work whose cost a client can raise: compiling grammars, rendering large prompts, untrusted templates.

A thread is not enough for such work: it holds the interpreter's lock, it cannot be stopped, and native code in it can crash the
whole process. A worker process is killed and replaced if its job takes too long, needs too much memory or crashes; the
caller gets `TooExpensive`, and other jobs continue.

The pools of `multiprocessing` and of libraries based on it run the main module of the embedding program again in every
worker, which not every program supports, and share one pipe among workers that may be killed at any time. Here each worker is
a plain child process with its own pipes.
"""

from dragoman.worker_pool.pool import POOL, WorkerPool
from dragoman.worker_pool.worker import TooExpensive

__all__ = ["POOL", "TooExpensive", "WorkerPool"]
