"""What processes and the whole machine have used, from /proc (Linux)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        try:
            for thread in Path(f"/proc/{current}/task").iterdir():
                waiting += [int(child) for child in (thread / "children").read_text().split()]
        except OSError:
            pass  # it has ended meanwhile
    return found


def cpu_s(pid: int) -> float:
    """User and system time of a process in s; 0 when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_resident_kib(pid: int) -> int:
    """The most memory a process has had; 0 when it has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


class Watch:
    """CPU and memory of some process families from now on. Only what `sample` has seen counts."""

    def __init__(self, pids: list[int]):
        self.pids = pids
        self.before = {member: cpu_s(member) for pid in pids for member in family(pid)}
        self.cpu: dict[int, float] = {}
        self.peak: dict[int, int] = {}

    def sample(self) -> None:
        for member in (member for pid in self.pids for member in family(pid)):
            self.cpu[member] = max(self.cpu.get(member, 0.0), cpu_s(member))
            self.peak[member] = max(self.peak.get(member, 0), peak_resident_kib(member))

    def cpu_s(self) -> float:
        return sum(used - self.before.get(pid, 0.0) for pid, used in self.cpu.items())

    def resident_mib(self) -> float:
        """The sum over all processes: pages shared after a fork count once for each."""
        return sum(self.peak.values()) / 1024


@dataclass(frozen=True)
class Machine:
    """CPU time of all cores until `at`; `niced` is the user time of processes that give way to others."""

    at: float
    busy_s: float
    niced_s: float

    @classmethod
    def read(cls) -> Machine:
        with open("/proc/stat") as stat:
            user, nice, system, _idle, _iowait, irq, softirq, steal = (int(x) for x in stat.readline().split()[1:9])
        return cls(time.monotonic(), (user + system + irq + softirq + steal) / TICKS, nice / TICKS)

    def foreign_share(self, before: Machine, own_s: float) -> float:
        """The share of the machine that processes which are not ours took since `before`, without niced ones."""
        return max(0.0, self.busy_s - before.busy_s - own_s) / (CORES * (self.at - before.at))

    def niced_share(self, before: Machine) -> float:
        """The share that niced processes took since `before`."""
        return (self.niced_s - before.niced_s) / (CORES * (self.at - before.at))


def wait_until_quiet(limit_s: float = 30.0) -> None:
    """Until others leave the machine alone (below 6 % of it for 1.5 s), but not longer than `limit_s`."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        before = Machine.read()
        time.sleep(1.5)
        if Machine.read().foreign_share(before, 0.0) < 0.06:
            return
