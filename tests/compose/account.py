#!/usr/bin/env python3
"""Holds what the fleet says about its runs against what the stub was called with and what mail arrived.

  account.py suite DIRECTORY TESTS        write the suite the scenarios run
  account.py latency STUB MS              how long the stub takes to answer from here on
  account.py calls STUB RUN               how many calls of the run there were
  account.py first STUB RUN               when its first call began, in seconds since 1970
  account.py takeover STUB RUN SINCE      the time from SINCE to the first repeated call, in seconds
  account.py check STUB RUN TOTAL FILE STATUS
                                          FILE is what `wait --json` printed; prints how many calls were made twice
"""
import json
import sys
import urllib.request
from collections import defaultdict
from datetime import datetime
from pathlib import Path

SUITE = """\
version: 1
name: fleet
owner: support-team@example.com
secrets:
  STUB_TOKEN: { required: true }
endpoint:
  id: fleet-chat
  name: Fleet chat
  type: http
  url: "http://stub:8765/chat"
  method: POST
  auth: { type: bearer, token: "{{ secrets.STUB_TOKEN }}" }
  body: { message: "{{ input }}" }
  response: { format: json, map: { output: "$.answer" } }
attributes:
  execution_mode: Parallel
  batch_concurrency: 12
  per_test_timeout: 60s
notifications:
  - { type: email, to: [qa@example.com] }
test_set:
  name: Fleet
  sources:
    - { file: fleet.jsonl }
"""


def suite(directory, tests):
    folder = Path(directory)
    (folder / "fleet.yaml").write_text(SUITE)
    metrics = [{"type": "starts-with", "value": "Hello"}]
    lines = (json.dumps({"id": f"t-{n:03}", "input": "Hello", "metrics": metrics}) for n in range(int(tests)))
    (folder / "fleet.jsonl").write_text("\n".join(lines) + "\n")


def latency(stub, ms):
    body = json.dumps({"latency": {"min_ms": int(ms), "max_ms": int(ms)}}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{stub}/_stub/behaviour", body, method="PUT"), timeout=10).close()


def calls(stub, run):
    with urllib.request.urlopen(f"{stub}/_stub/calls?run={run}", timeout=10) as answer:
        found = json.load(answer)
    if found["dropped"]:
        sys.exit("the stub has forgotten calls; nothing can be said about duplicates")
    return found["calls"]


def begun(call):
    text = call["started_at"].replace("Z", "+00:00")
    if "." in text:  # up to nanoseconds; older Pythons read six digits
        whole, rest = text.split(".")
        text = f"{whole}.{rest[:-6][:6]:0<6}{rest[-6:]}"
    return datetime.fromisoformat(text).timestamp()


def asks_for_another(call):
    """Whether the endpoint's own answer is a reason to call again."""
    return call["status"] in (429, 502, 503, 504)


def repeated(found):
    """The calls of each test beyond those that the endpoint's answers called for."""
    of_test = defaultdict(list)
    for call in sorted(found, key=lambda call: call["number"]):
        of_test[call["test"]].append(call)
    for test in of_test.values():
        for before, call in zip(test, test[1:]):
            if not asks_for_another(before):
                yield call


def takeover(stub, run, since):
    after = [begun(call) for call in repeated(calls(stub, run)) if begun(call) > float(since)]
    print(f"{min(after) - float(since):.1f}" if after else "-")


def check(stub, run, total, file, status):
    text = Path(file).read_text()
    try:
        said = json.loads(text)
    except ValueError:
        sys.exit(f"run {run}: wait printed no JSON: {text[:200]!r}")
    summary, results, total = said["summary"], said["results"], int(total)
    ids = {result["index"] for result in results}
    wrong = []
    if summary["test_run_id"] != run or summary["status"] != status:
        wrong.append(f"it ended as {summary['status']}")
    if summary["completed_tests"] != total or summary["total_tests"] != total:
        wrong.append(f"the summary counts {summary['completed_tests']} of {total} tests")
    if len(results) != total or ids != set(range(total)):
        wrong.append(f"{len(results)} results of {len(ids)} tests instead of {total}")
    found = with_overlaps(calls(stub, run))
    called = {call["test"] for call in found}
    if len(called) != total:
        wrong.append(f"{len(called)} tests were called instead of {total}")
    if summary["execution_mode"] == "Sequential":
        overlaps = [call["number"] for call in found if call["in_flight_of_run"] > 1]
        if overlaps:
            wrong.append(f"Sequential calls overlap: {overlaps}")
    if wrong:
        sys.exit(f"run {run}: " + "; ".join(wrong))
    print(len(list(repeated(found))))


def with_overlaps(found):
    """Adds to each call how many of the same list were in flight when it began."""
    for call in found:
        ends = [(other["start_ns"], other["end_ns"]) for other in found]
        at = call["start_ns"]
        call["in_flight_of_run"] = sum(1 for start, end in ends if start <= at and (end is None or end > at))
    return found


def main():
    what, *rest = sys.argv[1:] or [""]
    if what == "suite":
        suite(*rest)
    elif what == "latency":
        latency(*rest)
    elif what == "calls":
        print(len(calls(*rest)))
    elif what == "first":
        print(min((begun(call) for call in calls(*rest)), default=""))
    elif what == "takeover":
        takeover(*rest)
    elif what == "check":
        check(*rest)
    else:
        sys.exit(__doc__)


main()
