"""Worker processes for work whose cost a client can raise: compiling grammars, rendering large prompts, foreign templates.

A thread is not enough for such work: it holds the interpreter's lock, it cannot be stopped, and native code in it can end the
whole process. A worker process is killed and replaced where its job takes too long, needs too much memory or crashes; the
caller gets `TooExpensive`, and other jobs go on.

The pools of `multiprocessing` and of the libraries on top of it run the main module of the embedding program again in every
worker, which not every program survives, and share one pipe among workers that may be killed at any time. Here each worker is
a plain child process with pipes of its own.
"""

from dragoman.worker_pool.pool import POOL, WorkerPool
from dragoman.worker_pool.worker import TooExpensive

__all__ = ["POOL", "TooExpensive", "WorkerPool"]
