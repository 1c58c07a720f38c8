#!/usr/bin/env python3
"""Compares testfleet with other queues on the same work. Prints Markdown; every run is also appended to a record.

  compare.py bullmq apalis celery
  compare.py bullmq:how=bulk sidekiq --workloads W1 --w1 10000 --repeat 1
  compare.py celery:late=1 --aof everysec

A queue may have options: QUEUE:NAME=VALUE,NAME=VALUE. Without any, bullmq is measured with `how=bulk` as well in W1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True

import table
from measure import measure
from process import CORES, wait_until_quiet
from systems import SYSTEMS, System
from systems.system import HERE, HOME

# More than the repetitions that were asked for, where others used the machine meanwhile.
EXTRA = 2
# Queues that have two ways to fan out, measured in both when no options are given.
ALSO = {("bullmq", "W1"): {"how": "bulk"}}
ROOT = HERE.parent.parent


def arguments() -> argparse.Namespace:
    wanted = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted.add_argument("queues", nargs="*", metavar="QUEUE", help=f"besides testfleet: {', '.join(SYSTEMS)}")
    wanted.add_argument("--workloads", default="W1,W2,W3", help="some of W1,W2,W3 (all)")
    wanted.add_argument("--w1", type=int, default=100_000, metavar="N", help="jobs of the fan-out (100000)")
    wanted.add_argument("--w2", type=int, default=10_000, metavar="N", help="jobs of the chain (10000)")
    wanted.add_argument("--w3", type=int, default=2_000, metavar="N", help="HTTP calls (2000)")
    wanted.add_argument("--repeat", type=int, default=3, metavar="N", help="clean runs of each (3)")
    wanted.add_argument("--cap", type=float, default=900, metavar="S", help="seconds that one run may take (900)")
    wanted.add_argument("--aof", default="no", choices=["no", "everysec", "always"], help="append-only file (no)")
    wanted.add_argument("--programs", type=Path, help="where testfleet and testfleet-worker are (target/release)")
    wanted.add_argument("--record", type=Path, help="JSON Lines of every run; what it has already is not measured again")
    return wanted.parse_args()


def programs(given: Path | None) -> Path:
    """An absolute path: commands are started in other directories."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    directory = (given or target / "release").resolve()
    for name in ("testfleet", "testfleet-worker"):
        if not (directory / name).exists():
            raise SystemExit(f"there is no {name} in {directory}; build it with `make build`, or name another --programs")
    return directory


def parse(text: str, directory: Path) -> tuple[type[System], dict[str, str]]:
    name, _, listed = text.partition(":")
    if name not in SYSTEMS:
        raise SystemExit(f"there is no queue {name!r}; there are: {', '.join(SYSTEMS)}")
    options = dict(pair.partition("=")[::2] for pair in listed.split(",") if pair)
    try:
        SYSTEMS[name](options, directory)
    except ValueError as error:
        raise SystemExit(str(error)) from error
    return SYSTEMS[name], options


def cases(names: list[str], workload: str, directory: Path) -> list[System]:
    """Ours first, once, unless it is named with options."""
    if not any(name.partition(":")[0] == table.OURS for name in names):
        names = [table.OURS, *names]
    found = []
    for system, options in (parse(name, directory) for name in names):
        found.append(system(options, directory))
        if not options and (system.name, workload) in ALSO:
            found.append(system(ALSO[system.name, workload], directory))
    return found


def say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def line(record: dict) -> str:
    name = f"{record['workload']} {record['system']} {record['options'] or ''}"
    if "error" in record:
        return f"{name}: {record['error']}"
    shares = f"foreign {record['foreign_share']:.0%}, niced {record['niced_share']:.0%}"
    return f"{name}: {record['collect_s']:.2f} s, {record['jobs_per_s']:.0f} jobs/s, {shares}"


class Comparison:
    """Runs one after the other, never two at a time; the queues take turns."""

    def __init__(self, wanted: argparse.Namespace, record: Path):
        self.wanted = wanted
        self.record = record
        self.records = table.read_records(record)
        self.directory = programs(wanted.programs)
        self.jobs = {"W1": wanted.w1, "W2": wanted.w2, "W3": wanted.w3}
        self.plan = [(workload, case) for workload in self.workloads() for case in self.cases(workload)]

    def workloads(self) -> list[str]:
        named = self.wanted.workloads.upper().split(",")
        for workload in named:
            if workload not in self.jobs:
                raise SystemExit(f"there is no workload {workload!r}; there are: {', '.join(self.jobs)}")
        return named

    def cases(self, workload: str) -> list[System]:
        return cases(self.wanted.queues, workload, self.directory)

    def of(self, workload: str, case: System) -> list[dict]:
        def same(record: dict) -> bool:
            here = (workload, case.name, self.jobs[workload], self.wanted.aof)
            there = tuple(record[field] for field in ("workload", "system", "jobs", "aof"))
            return here == there and case.options == case.defaults | record["options"]

        return [record for record in self.records if same(record)]

    def is_done(self, workload: str, case: System) -> bool:
        """Enough clean runs, or no hope of more."""
        records = self.of(workload, case)
        clean = sum(map(table.is_clean, records))
        failed = any("error" in record for record in records)
        return clean >= self.wanted.repeat or failed or len(records) >= self.wanted.repeat + EXTRA

    def run(self) -> list[dict]:
        while waiting := [turn for turn in self.plan if not self.is_done(*turn)]:
            for workload, case in waiting:
                self.take(workload, case)
        return [record for turn in self.plan for record in self.of(*turn)]

    def take(self, workload: str, case: System) -> None:
        wait_until_quiet()
        record = measure(case, workload, self.jobs[workload], self.wanted.cap, self.wanted.aof)
        self.records.append(record)
        with open(self.record, "a") as record_file:
            record_file.write(json.dumps(record) + "\n")
        say(line(record))


def machine() -> str:
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    redis = subprocess.check_output(["redis-server", "--version"], text=True).split("v=")[1].split()[0]
    return f"{CORES} cores ({model}), {platform.system()} {platform.release()}, redis-server {redis}."


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wanted = arguments()
    record = wanted.record or HOME / time.strftime("record-%Y%m%d-%H%M%S.jsonl")
    record.parent.mkdir(parents=True, exist_ok=True)
    comparison = Comparison(wanted, record)
    say(f"recording in {record}")
    records = comparison.run()
    print(f"{machine()}\n\n{table.markdown(records)}")
    if any("error" in record for record in records):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
