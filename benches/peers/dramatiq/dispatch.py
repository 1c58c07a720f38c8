"""dispatch.py WORKLOAD N HOW"""

import json
import sys
import time

import tasks
from dramatiq import group, pipeline

workload, jobs, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]

tasks.client.ping()  # opens the connection
t0 = time.time()
if how == "hop":
    tasks.hop.send(0, jobs)
elif workload == "W2":
    steps = [tasks.noop.message_with_options(args=(i,), pipe_ignore=True) for i in range(jobs)]
    pipeline([*steps, tasks.collect.message_with_options(args=(1,), pipe_ignore=True)]).run()
else:
    actor = tasks.io if workload == "W3" else tasks.noop
    jobs_of_group = group([actor.message(i) for i in range(jobs)])
    jobs_of_group.add_completion_callback(tasks.collect.message(jobs))
    jobs_of_group.run()
print(json.dumps({"t0": t0, "t1": time.time()}))
