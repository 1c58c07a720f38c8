#!/usr/bin/env python3
"""table.py RECORD...: medians and ratios of what `compare.py` has recorded, as Markdown."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

# A run counts when others took less than this share of the machine.
CLEAN = 0.10
OURS = "testfleet"
WORKLOADS = {
    "W1": "fan-out of no-op jobs, then collect",
    "W2": "a chain of no-op jobs",
    "W3": "HTTP calls of 50 ms, 200 at a time",
}
# Heading, field, digits.
FIGURES = [
    ("dispatch s", "dispatch_s", 2),
    ("collect s", "collect_s", 2),
    ("jobs/s", "jobs_per_s", 0),
    ("us/hop", "us_per_hop", 0),
    ("x ideal", "times_ideal", 2),
    ("redis commands/job", "redis_commands_per_job", 1),
    ("redis cpu us/job", "redis_cpu_us_per_job", 0),
    ("worker cpu us/job", "worker_cpu_us_per_job", 0),
    ("dispatch cpu us/job", "dispatch_cpu_us_per_job", 0),
    ("redis peak MiB", "redis_peak_mib", 0),
    ("worker RSS MiB", "worker_rss_mib", 0),
]
# Compared as testfleet over the peer: of the first more is better, of all others less.
RATIOS = [figure for figure in FIGURES if figure[1] not in ("dispatch_s", "collect_s", "us_per_hop", "times_ideal")]

Key = tuple[str, str]


def is_clean(record: dict) -> bool:
    return "error" not in record and record["foreign_share"] < CLEAN


class Summary:
    """The medians of one queue with one setting on one workload: of the clean runs, or of all when there are none."""

    def __init__(self, records: list[dict]):
        ended = [record for record in records if "error" not in record]
        clean = [record for record in ended if is_clean(record)]
        self.records = records
        self.used = clean or ended
        self.star = "" if clean or not ended else "*"

    def median(self, field: str) -> float | None:
        values = [record[field] for record in self.used if field in record]
        return statistics.median(values) if values else None

    def cell(self, field: str, digits: int) -> str:
        value = self.median(field)
        return "-" if value is None else f"{value:.{digits}f}"

    def spread(self, field: str, digits: int) -> str:
        values = [record[field] for record in self.used if field in record]
        return f"{min(values):.{digits}f} to {max(values):.{digits}f}" if values else "-"

    def runs(self) -> str:
        return f"{len(self.used)} of {len(self.records)}{self.star}"

    def errors(self) -> list[str]:
        return sorted({record["error"] for record in self.records if "error" in record})


def row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def table(headings: list[str], rows: list[list[str]]) -> str:
    return "\n".join([row(headings), row(["---"] * len(headings)), *map(row, rows)])


def name_of(key: Key) -> str:
    """The queue, and the options it was given where they are not its standard ones."""
    system, options = key
    return f"{system} ({options})" if options else system


def results(summaries: dict[Key, Summary]) -> str:
    figures = [figure for figure in FIGURES if any(summary.median(figure[1]) is not None for summary in summaries.values())]
    headings = ["queue", "version", "setting", "jobs", "runs", *(figure[0] for figure in figures)]
    headings += ["collect s, least to most", "foreign share", "niced share"]
    rows = []
    for key, summary in summaries.items():
        first = summary.records[0]
        cells = [name_of(key), first.get("version", "-"), first.get("setting", "-"), str(first["jobs"]), summary.runs()]
        cells += [summary.cell(field, digits) for _, field, digits in figures]
        cells += [summary.spread("collect_s", 2), summary.spread("foreign_share", 2), summary.spread("niced_share", 2)]
        rows.append(cells)
    return table(headings, rows)


def ratio(ours: float | None, theirs: float | None) -> str:
    return "-" if ours is None or not theirs else f"{ours / theirs:.3g}"


def ratios(summaries: dict[Key, Summary]) -> str:
    ours = summaries[OURS, ""]
    rows = []
    for key, theirs in summaries.items():
        if key[0] != OURS:
            cells = [ratio(ours.median(field), theirs.median(field)) for _, field, _ in RATIOS]
            rows.append([f"testfleet / {name_of(key)}", *cells])
    return table(["ratio", *(heading for heading, _, _ in RATIOS)], rows) if rows else ""


def grouped(records: list[dict]) -> dict[tuple[str, str, int], dict[Key, Summary]]:
    """By workload, durability and number of jobs, then by queue and options; in the order of the records."""
    groups: dict[tuple[str, str, int], dict[Key, list[dict]]] = {}
    for record in records:
        options = ",".join(f"{name}={value}" for name, value in sorted(record["options"].items()))
        rows = groups.setdefault((record["workload"], record["aof"], record["jobs"]), {})
        rows.setdefault((record["system"], options), []).append(record)
    return {
        group: {key: Summary(records) for key, records in rows.items()} for group, rows in sorted(groups.items())
    }


def markdown(records: list[dict]) -> str:
    parts = []
    for (workload, aof, _), summaries in grouped(records).items():
        durability = "" if aof == "no" else f", append-only file with fsync {aof}"
        parts += [f"### {workload}: {WORKLOADS[workload]}{durability}", results(summaries)]
        if (OURS, "") in summaries:
            parts.append(ratios(summaries))
        errors = [f"- {name_of(key)}: {error}" for key, summary in summaries.items() for error in summary.errors()]
        if errors:
            parts.append("Runs that do not count:\n\n" + "\n".join(errors))
    notes = [f"Medians of the runs in which others took less than {CLEAN:.0%} of the machine; * where there was none."]
    notes += ["Ratios are testfleet over the peer: more is better for jobs/s, less for everything else."]
    return "\n\n".join(part for part in [*parts, " ".join(notes)] if part)


def read_records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    print(markdown([record for path in sys.argv[1:] for record in read_records(Path(path))]))
