"""dispatch.py WORKLOAD N HOW"""

import json
import sys
import time

import tasks
from celery import chain, chord

workload, jobs, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]

tasks.app.control.ping(timeout=0.2)  # opens the connections
t0 = time.time()
if how == "hop":
    tasks.hop.delay(0, jobs)
elif workload == "W2":
    chain(*(tasks.noop.si(i) for i in range(jobs)), tasks.chain_end.si()).apply_async()
else:
    task = tasks.io if workload == "W3" else tasks.noop
    chord((task.s(i) for i in range(jobs)), tasks.collect.s()).apply_async()
print(json.dumps({"t0": t0, "t1": time.time()}))
