"""BullMQ on Node.js."""

from __future__ import annotations

import json

from redis_server import Client

from .system import HERE, HOME, Commands, Run, System

MODULES = HOME / "bullmq" / "node_modules"


class BullMQ(System):
    name = "bullmq"
    # how: `flow` (its own fan-in), `bulk` (addBulk and a counter made by hand); W2: `flow`, `hop`.
    defaults = {"how": "", "c": "200", "procs": "1"}

    def version(self) -> str:
        return json.loads((MODULES / "bullmq" / "package.json").read_text())["version"]

    def commands(self, run: Run) -> Commands:
        how = self.option("how", "hop" if run.workload == "W2" else "flow")
        if how not in ("flow", "hop" if run.workload == "W2" else "bulk"):
            raise ValueError(f"bullmq cannot do {run.workload} with how={how}")
        concurrency, processes = self.options["c"], int(self.options["procs"])
        return Commands(
            setting=f"{how}, {processes} process, concurrency {concurrency}",
            workers=[["node", "worker.cjs"]] * processes,
            dispatcher=["node", "dispatch.cjs", run.workload, str(run.jobs), how],
            directory=HERE / "bullmq",
            environment={"NODE_PATH": str(MODULES), "BENCH_CONCURRENCY": concurrency},
            ready=processes,
        )

    def retained(self, redis: Client, dispatched: dict) -> int:
        return redis("ZCARD", "bull:jobs:completed")
