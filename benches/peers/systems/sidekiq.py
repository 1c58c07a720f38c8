"""Sidekiq, as Debian has it."""

from __future__ import annotations

import subprocess

from redis_server import Client

from .system import HERE, Commands, Run, System


class Sidekiq(System):
    name = "sidekiq"
    defaults = {"c": "", "procs": "1"}

    def version(self) -> str:
        return subprocess.check_output(["sidekiq", "--version"], text=True).split()[-1]

    def commands(self, run: Run) -> Commands:
        concurrency, processes = self.option("c", "200" if run.workload == "W3" else "10"), int(self.options["procs"])
        return Commands(
            setting=f"{processes} process, concurrency {concurrency}",
            workers=[["sidekiq", "-r", "./tasks.rb", "-c", concurrency, "-q", "default", "-t", "3"]] * processes,
            dispatcher=["ruby", "dispatch.rb", run.workload, str(run.jobs)],
            directory=HERE / "sidekiq",
            ready=processes,
        )

    def retained(self, redis: Client, dispatched: dict) -> int:
        return redis("LLEN", "bench:results")
