"""What the driver has to know of a queue, and the protocol that the scripts of a peer follow.

All over the Redis of the run:

* a worker does `RPUSH bench:ready 1` when it is ready to consume;
* the dispatcher prints one line, `{"t0": …, "t1": …}`: seconds since 1970 before the first and after the last enqueue;
* the collect job does `RPUSH bench:fired <seconds since 1970>:<results it saw>`.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from redis_server import Client

HERE = Path(__file__).resolve().parent.parent
HOME = Path(os.environ.get("PEERS_HOME", Path.home() / ".cache" / "testfleet-peers"))
PYTHON = HOME / "venv" / "bin"
RUST = HOME / "target" / "release"


@dataclass(frozen=True)
class Run:
    """One run: N jobs of a workload."""

    workload: str
    jobs: int
    redis_port: int
    mock_port: int
    # For files of this run; removed afterwards.
    scratch: Path

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.redis_port}/0"


@dataclass(frozen=True)
class Commands:
    """What to start, and how that is set up, in words."""

    setting: str
    workers: list[list[str]]
    dispatcher: list[str]
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    # What `ready` answers when all are.
    ready: int = 1


@dataclass(frozen=True)
class End:
    """When the collect job had all results (seconds since 1970), and how many it saw."""

    at: float
    results: int


class System:
    """A queue. `defaults` are its options; others are refused."""

    name: str
    defaults: dict[str, str] = {}

    def __init__(self, options: dict[str, str], programs: Path):
        unknown = options.keys() - self.defaults.keys()
        if unknown:
            known = ", ".join(self.defaults) or "none"
            raise ValueError(f"{self.name} has no option {', '.join(sorted(unknown))}; it has: {known}")
        self.options = self.defaults | options
        self.programs = programs

    def option(self, name: str, otherwise: str) -> str:
        """The value of an option, or `otherwise` when it is not set: what fits depends on the workload."""
        return self.options[name] or otherwise

    def version(self) -> str:
        raise NotImplementedError

    def commands(self, run: Run) -> Commands:
        raise NotImplementedError

    def ready(self, redis: Client) -> int:
        return redis("LLEN", "bench:ready")

    def ends(self, redis: Client, dispatched: dict) -> list[End]:
        """Every firing of the collect job so far; there should be one. `dispatched`: what the dispatcher printed."""
        fired = (entry.split(":") for entry in redis("LRANGE", "bench:fired", 0, -1))
        return [End(float(at), int(results)) for at, results in fired]

    def retained(self, redis: Client, dispatched: dict) -> int:
        """Results that are still there afterwards."""
        raise NotImplementedError


def python_version(package: str) -> str:
    """The installed version of a package of the peers' environment."""
    ask = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.check_output([PYTHON / "python", "-c", ask], text=True).strip()
