"""apalis with apalis-redis (Rust)."""

from __future__ import annotations

import tomllib

from redis_server import Client

from .system import HERE, RUST, Commands, Run, System


class Apalis(System):
    name = "apalis"
    # hb: heartbeat in s, which is also the poll of an idle worker (its default is 30); miss: heartbeats it may miss.
    defaults = {"c": "200", "procs": "1", "batch": "10", "hb": "1", "miss": "30"}

    def version(self) -> str:
        manifest = tomllib.loads((HERE / "apalis" / "Cargo.toml").read_text())
        return manifest["dependencies"]["apalis"]["version"].lstrip("=")

    def commands(self, run: Run) -> Commands:
        options, processes = self.options, int(self.options["procs"])
        program = str(RUST / "peer-apalis")
        return Commands(
            setting=f"{processes} process, concurrency {options['c']}, batch {options['batch']}, heartbeat {options['hb']} s",
            workers=[[program, "worker", f"w{number}"] for number in range(processes)],
            dispatcher=[program, "dispatch", run.workload, str(run.jobs)],
            directory=HERE / "apalis",
            environment={
                "BENCH_CONCURRENCY": options["c"],
                "BENCH_BATCH": options["batch"],
                "BENCH_HEARTBEAT": options["hb"],
                "BENCH_MISSED": options["miss"],
            },
            ready=processes,
        )

    def retained(self, redis: Client, dispatched: dict) -> int:
        return redis.count_keys("bench:q:meta:*")
