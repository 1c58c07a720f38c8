"""Dramatiq with its Redis broker and result backend."""

from __future__ import annotations

from redis_server import Client

from .system import HERE, PYTHON, Commands, Run, System, python_version


class Dramatiq(System):
    name = "dramatiq"
    # how=flow: pipeline() for W2.
    defaults = {"procs": "2", "threads": "", "how": ""}

    def version(self) -> str:
        return python_version("dramatiq")

    def commands(self, run: Run) -> Commands:
        processes, threads = self.options["procs"], self.option("threads", "100" if run.workload == "W3" else "8")
        how = self.option("how", "hop" if run.workload == "W2" else "flow")
        return Commands(
            setting=f"{how}, {processes} processes of {threads} threads",
            workers=[[str(PYTHON / "dramatiq"), "tasks", "--processes", processes, "--threads", threads]],
            dispatcher=[str(PYTHON / "python"), "dispatch.py", run.workload, str(run.jobs), how],
            directory=HERE / "dramatiq",
            ready=int(processes),
        )

    def retained(self, redis: Client, dispatched: dict) -> int:
        # Results have no prefix of their own: every key that is neither its queue nor ours.
        return redis("DBSIZE") - sum(redis.count_keys(pattern) for pattern in ("dramatiq:*", "bench:*"))
