"""testfleet: `testfleet submit`, and one worker. No-op jobs take the worker of `testfleet bench`, HTTP a real one."""

from __future__ import annotations

import json
import subprocess

from redis_server import Client

from .system import HERE, Commands, End, Run, System

ENDED = {"completed", "partial", "failed", "cancelled"}
CONCURRENCY = 200


class Testfleet(System):
    name = "testfleet"
    defaults = {"c": "", "procs": "1"}

    def version(self) -> str:
        return subprocess.check_output([self.programs / "testfleet", "--version"], text=True).split()[-1]

    def commands(self, run: Run) -> Commands:
        concurrency, processes = self.option("c", str(CONCURRENCY)), int(self.options["procs"])
        write_suite(run, int(concurrency) * processes)
        if run.workload == "W3":
            egress = f"127.0.0.1:{run.mock_port}"
            worker, kind = [str(self.programs / "testfleet-worker"), "--allow-egress", egress], "testfleet-worker"
        else:
            worker, kind = [str(self.programs / "testfleet"), "bench-worker"], "bench-worker"
        return Commands(
            setting=f"{processes} {kind}, concurrency {concurrency}",
            workers=[worker] * processes,
            dispatcher=[str(HERE / "testfleet" / "dispatch.sh"), str(self.programs / "testfleet"), "suite.json"],
            directory=run.scratch,
            environment={
                "TESTFLEET_REDIS_URL": run.redis_url,
                "TESTFLEET_WORKER_CONCURRENCY": concurrency,
                # The server of a run is thrown away; nothing has to survive.
                "TESTFLEET_REDIS_ALLOW_VOLATILE": "true",
            },
            ready=processes,
        )

    # testfleet is not told of the protocol: it is looked at from outside, by keys that ARCHITECTURE.md lists.

    def ready(self, redis: Client) -> int:
        return redis("ZCARD", "tf:{0}:workers")

    def ends(self, redis: Client, dispatched: dict) -> list[End]:
        if "run" not in dispatched:
            return []
        state, ended_at_ms, passed = redis("HMGET", run_key(dispatched), "state", "ended_at", "count:Pass")
        return [End(int(ended_at_ms) / 1000, int(passed or 0))] if state in ENDED else []

    def retained(self, redis: Client, dispatched: dict) -> int:
        return redis("HLEN", f"{run_key(dispatched)}:results")


def run_key(dispatched: dict) -> str:
    return f"tf:{{0}}:run:{dispatched['run']}"


def write_suite(run: Run, concurrency: int) -> None:
    """A configuration and its tests, as files: reading them is part of what is measured, writing them is not."""
    endpoint = {
        "url": f"http://127.0.0.1:{run.mock_port}/v1/chat",
        "method": "POST",
        "body": {"i": "{{ input }}"},
        "response": {"map": {"output": "$.answer"}},
    }
    suite = {
        "version": 1,
        "name": "peers",
        "endpoint": endpoint,
        "metrics": [{"type": "status-code", "value": 200}],
        "attributes": {
            "execution_mode": "Sequential" if run.workload == "W2" else "Parallel",
            "batch_concurrency": concurrency,
        },
        "test_set": {"sources": [{"file": "tests.jsonl"}]},
    }
    (run.scratch / "suite.json").write_text(json.dumps(suite))
    with open(run.scratch / "tests.jsonl", "w") as tests:
        for index in range(run.jobs):
            tests.write(f'{{"id": "test-{index}", "input": "{index}"}}\n')
