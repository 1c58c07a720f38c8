"""dispatch.py WORKLOAD N"""

import asyncio
import json
import sys
import time

import tasks

# taskiq has no bulk enqueue: so many at a time.
TOGETHER = 100


async def dispatch(workload: str, jobs: int) -> None:
    await tasks.broker.startup()
    await tasks.client.ping()
    t0 = time.time()
    if workload == "W2":
        await tasks.hop.kiq(0, jobs)
    else:
        task = tasks.io if workload == "W3" else tasks.noop
        await tasks.client.set("bench:count", jobs)
        for start in range(0, jobs, TOGETHER):
            await asyncio.gather(*(task.kiq(i) for i in range(start, min(jobs, start + TOGETHER))))
    print(json.dumps({"t0": t0, "t1": time.time()}))


asyncio.run(dispatch(sys.argv[1], int(sys.argv[2])))
