"""A redis-server of our own for one run, a client for it, and what it has spent.

The client speaks RESP with the standard library alone, and counts its own commands, so that they can be taken off again.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 5.0
# What the driver sends to measure; Redis calls the subcommand `config|resetstat`.
MEASURING = {"info", "config|resetstat"}


def free_port() -> int:
    """A port of the loopback interface that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Client:
    """One connection. Raises RuntimeError where Redis answers with an error."""

    def __init__(self, port: int):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.replies = self.socket.makefile("rb")
        self.calls: Counter[str] = Counter()

    def __call__(self, *words: object):
        encoded = [str(word).encode() for word in words]
        self.calls[str(words[0]).lower()] += 1
        parts = [b"*%d\r\n" % len(encoded)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded]
        self.socket.sendall(b"".join(parts))
        return self._reply()

    def close(self) -> None:
        self.replies.close()
        self.socket.close()

    def _reply(self):
        line = self.replies.readline()
        if not line:
            raise ConnectionError("redis-server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        length = int(rest)
        if length < 0:
            return None
        if kind == b"$":
            return self.replies.read(length + 2)[:-2].decode("utf8", "replace")
        return [self._reply() for _ in range(length)]

    def info(self) -> dict[str, str]:
        lines = self("INFO", "everything").split("\r\n")
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def count_keys(self, pattern: str) -> int:
        cursor, found = "0", 0
        while True:
            cursor, keys = self("SCAN", cursor, "MATCH", pattern, "COUNT", 5000)
            found += len(keys)
            if cursor == "0":
                return found


@dataclass(frozen=True)
class Usage:
    """What the server has done since it was started; commands without those of our own client."""

    cpu_s: float
    commands: Counter[str]
    reads: int
    net_in: int
    net_out: int
    peak_memory: int

    @classmethod
    def read(cls, client: Client) -> Usage:
        info = client.info()
        commands = Counter(
            {
                name.removeprefix("cmdstat_"): int(value.split("calls=")[1].split(",")[0])
                for name, value in info.items()
                if name.startswith("cmdstat_")
            }
        )
        for name in MEASURING:
            commands.pop(name, None)
        commands.subtract({name: calls for name, calls in client.calls.items() if name not in ("info", "config")})
        return cls(
            cpu_s=float(info["used_cpu_sys"]) + float(info["used_cpu_user"]),
            commands=commands,
            reads=int(info["total_reads_processed"]) - sum(client.calls.values()),
            net_in=int(info["total_net_input_bytes"]),
            net_out=int(info["total_net_output_bytes"]),
            peak_memory=int(info["used_memory_peak"]),
        )


class RedisServer:
    """A fresh server on loopback, without snapshots. `aof`: `no`, or the policy of `appendfsync`."""

    def __init__(self, directory: Path, aof: str):
        self.port = free_port()
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(directory)]
        command += ["--logfile", str(directory / "redis.log"), "--appendonly", "no" if aof == "no" else "yes"]
        if aof != "no":
            command += ["--appendfsync", aof]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def connect(self) -> Client:
        """Waits until the server answers; RuntimeError when it does not, or another one has taken the port."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                client = Client(self.port)
                break
            except OSError as error:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise RuntimeError(f"redis-server did not come up on port {self.port}") from error
                time.sleep(0.02)
        if int(client.info()["process_id"]) != self.process.pid:
            raise RuntimeError(f"another redis-server has taken port {self.port}; try again")
        return client

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
