"""taskiq with its Redis stream broker and result backend."""

from __future__ import annotations

from redis_server import Client

from .system import HERE, PYTHON, Commands, Run, System, python_version


class Taskiq(System):
    name = "taskiq"
    defaults = {"procs": "2", "c": "100"}

    def version(self) -> str:
        return f"{python_version('taskiq')} (taskiq-redis {python_version('taskiq-redis')})"

    def commands(self, run: Run) -> Commands:
        processes, concurrency = self.options["procs"], self.options["c"]
        worker = [str(PYTHON / "taskiq"), "worker", "tasks:broker", "--log-level", "WARNING"]
        return Commands(
            setting=f"{processes} processes, concurrency {concurrency} each",
            workers=[[*worker, "--workers", processes, "--max-async-tasks", concurrency]],
            dispatcher=[str(PYTHON / "python"), "dispatch.py", run.workload, str(run.jobs)],
            directory=HERE / "taskiq",
            ready=int(processes),
        )

    def retained(self, redis: Client, dispatched: dict) -> int:
        # Results have no prefix of their own: every key that is neither its queue nor ours.
        patterns = ("bench:*", "taskiq*", "autoclaim:*")
        return redis("DBSIZE") - sum(redis.count_keys(pattern) for pattern in patterns)
