"""One run: a fresh redis-server, the mock of W3, the workers, then the dispatcher, until the collect job has fired.

Everything is measured from outside and in the same way for every queue. Nothing outlives the run.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from process import Machine, Watch, cpu_s
from redis_server import Client, RedisServer, Usage, free_port
from systems import Commands, End, Run, System
from systems.system import RUST

MOCK_DELAY_S = 0.05
# Jobs in flight in W3.
W3_CONCURRENCY = 200
READY_WITHIN_S = 30.0
SETTLE_S = 0.5
LOOK_EVERY_S = 0.1
# How long a second firing of the collect job is waited for.
AFTERMATH_S = 1.0


class Failed(Exception):
    """The run cannot be counted; says why."""


def measure(system: System, workload: str, jobs: int, cap_s: float, aof: str) -> dict:
    """The figures of one run; with `error` when it did not end as it should.

    A queue that has not finished after `cap_s` is an error too.
    """
    record = {"system": system.name, "workload": workload, "jobs": jobs, "options": given(system), "aof": aof}
    with ExitStack() as cleanup:
        scratch = Path(tempfile.mkdtemp(prefix="peers-"))
        cleanup.callback(shutil.rmtree, scratch, ignore_errors=True)
        log = cleanup.enter_context(open(scratch / "worker.log", "wb"))
        try:
            record["version"] = system.version()
            server = RedisServer(scratch, aof)
            cleanup.callback(server.stop)
            redis = server.connect()
            cleanup.callback(redis.close)
            run = Run(workload, jobs, server.port, free_port(), scratch)
            figures(record, system, run, redis, cap_s, cleanup, log)
        except (Failed, OSError, RuntimeError, ValueError, subprocess.CalledProcessError) as error:
            record["error"] = str(error)
            record["log"] = (scratch / "worker.log").read_text(errors="replace")[-1500:]
    return record


def given(system: System) -> dict[str, str]:
    """The options that differ from the defaults."""
    return {name: value for name, value in system.options.items() if value != system.defaults[name]}


def figures(record: dict, system: System, run: Run, redis: Client, cap_s: float, cleanup: ExitStack, log) -> None:
    commands = system.commands(run)
    record["setting"] = commands.setting
    environment = environment_of(run, commands)
    mock = start_mock(run, cleanup) if run.workload == "W3" else None
    workers = [start_worker(command, commands, environment, cleanup, log) for command in commands.workers]
    wait_until_ready(system, redis, commands, workers)

    watch = Watch([worker.pid for worker in workers])
    own_before, children_before = own_cpu_s(), children_cpu_s()
    mock_before = cpu_s(mock.pid) if mock else 0.0
    redis("CONFIG", "RESETSTAT")
    redis.calls.clear()
    server_before, machine_before = Usage.read(redis), Machine.read()

    dispatched, end = dispatch_and_wait(system, redis, commands, environment, watch, cap_s, cleanup, log)

    watch.sample()
    server, machine = Usage.read(redis), Machine.read()
    dispatcher_s = children_cpu_s() - children_before
    server_s = server.cpu_s - server_before.cpu_s
    mock_s = cpu_s(mock.pid) - mock_before if mock else 0.0
    own_s = server_s + watch.cpu_s() + dispatcher_s + own_cpu_s() - own_before + mock_s

    seconds = end.at - dispatched["t0"]
    spent = server.commands - server_before.commands
    record |= {
        "dispatch_s": round(dispatched["t1"] - dispatched["t0"], 4),
        "collect_s": round(seconds, 4),
        "jobs_per_s": round(run.jobs / seconds, 1),
        "redis_commands_per_job": round(spent.total() / run.jobs, 2),
        "redis_reads_per_job": round((server.reads - server_before.reads) / run.jobs, 2),
        "redis_cpu_us_per_job": micros(server_s, run),
        "worker_cpu_us_per_job": micros(watch.cpu_s(), run),
        "dispatch_cpu_us_per_job": micros(dispatcher_s, run),
        "redis_peak_mib": round(server.peak_memory / 2**20, 1),
        "worker_rss_mib": round(watch.resident_mib(), 1),
        "worker_processes": len(watch.peak),
        "net_in_mb": round((server.net_in - server_before.net_in) / 1e6, 2),
        "net_out_mb": round((server.net_out - server_before.net_out) / 1e6, 2),
        "top_commands": dict(spent.most_common(8)),
        "foreign_share": round(machine.foreign_share(machine_before, own_s), 3),
        "niced_share": round(machine.niced_share(machine_before), 3),
    }
    if run.workload == "W2":
        record["us_per_hop"] = round(seconds / run.jobs * 1e6, 1)
    if run.workload == "W3":
        record["times_ideal"] = round(seconds / (run.jobs * MOCK_DELAY_S / W3_CONCURRENCY), 3)
        record["mock"] = mock_statistics(run)
    time.sleep(AFTERMATH_S)
    record["results_retained"] = system.retained(redis, dispatched)
    check(record, system.ends(redis, dispatched), run)


def check(record: dict, ends: list[End], run: Run) -> None:
    """A run that did not do all of the work once is not one to compare with."""
    if len(ends) != 1:
        raise Failed(f"the collect job fired {len(ends)} times")
    wanted = 1 if run.workload == "W2" else run.jobs
    if ends[0].results < wanted:
        raise Failed(f"the collect job saw {ends[0].results} results of {wanted}")
    if run.workload == "W3" and record["mock"]["posts"] != run.jobs:
        raise Failed(f"the mock got {record['mock']['posts']} calls of {run.jobs}")


def environment_of(run: Run, commands: Commands) -> dict[str, str]:
    ours = {
        "BENCH_REDIS": run.redis_url,
        "BENCH_PORT": str(run.redis_port),
        "BENCH_MOCK_PORT": str(run.mock_port),
        "PYTHONPATH": ".",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    # Settings of a fleet that the caller works with are nothing to a run.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TESTFLEET_")}
    return inherited | ours | commands.environment


def start_mock(run: Run, cleanup: ExitStack) -> subprocess.Popen:
    mock = subprocess.Popen([RUST / "peer-mock", str(run.mock_port), str(round(MOCK_DELAY_S * 1000))])
    cleanup.callback(end, mock)
    return mock


def start_worker(command: list[str], commands: Commands, environment: dict, cleanup: ExitStack, log) -> subprocess.Popen:
    """In a process group of its own, so that its children end with it."""
    where = {"cwd": commands.directory, "env": environment, "stdout": log, "stderr": log}
    worker = subprocess.Popen(command, start_new_session=True, **where)
    cleanup.callback(end_group, worker)
    return worker


def end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()


def end_group(process: subprocess.Popen) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def wait_until_ready(system: System, redis: Client, commands: Commands, workers: list[subprocess.Popen]) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while system.ready(redis) < commands.ready:
        if any(worker.poll() is not None for worker in workers):
            raise Failed("a worker ended while it started")
        if time.monotonic() > until:
            raise Failed(f"the workers were not ready within {READY_WITHIN_S:.0f} s")
        time.sleep(0.05)
    time.sleep(SETTLE_S)


def dispatch_and_wait(
    system: System, redis: Client, commands: Commands, environment: dict, watch: Watch, cap_s: float, cleanup: ExitStack, log
) -> tuple[dict, End]:
    where = {"cwd": commands.directory, "env": environment, "stdout": subprocess.PIPE, "stderr": log}
    dispatcher = subprocess.Popen(commands.dispatcher, text=True, **where)
    cleanup.callback(end, dispatcher)
    until = time.monotonic() + cap_s
    dispatched: dict | None = None
    while time.monotonic() < until:
        watch.sample()
        if dispatched is None and dispatcher.poll() is not None:
            dispatched = read_dispatched(dispatcher)
        ends = system.ends(redis, dispatched) if dispatched else []
        if dispatched and ends:
            return dispatched, ends[0]
        time.sleep(LOOK_EVERY_S)
    raise Failed(f"{'the collect job had not fired' if dispatched else 'the dispatcher was at work'} after {cap_s:.0f} s")


def read_dispatched(dispatcher: subprocess.Popen) -> dict:
    output = dispatcher.communicate()[0].strip()
    if dispatcher.returncode != 0 or not output:
        raise Failed(f"the dispatcher ended with code {dispatcher.returncode}")
    return json.loads(output.splitlines()[-1])


def mock_statistics(run: Run) -> dict:
    with urllib.request.urlopen(f"http://127.0.0.1:{run.mock_port}/stats", timeout=10) as answer:
        return json.load(answer)


def micros(seconds: float, run: Run) -> float:
    return round(seconds / run.jobs * 1e6, 1)


def own_cpu_s() -> float:
    return time.process_time()


def children_cpu_s() -> float:
    """Of children that have ended and were waited for: in a run that is the dispatcher, with the start of its interpreter."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
