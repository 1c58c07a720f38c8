"""The tasks of the comparison, for `taskiq worker tasks:broker` and for the dispatcher."""

import json
import os
import time

import aiohttp
import redis.asyncio
from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

URL = os.environ["BENCH_REDIS"]

results = RedisAsyncResultBackend(redis_url=URL, result_ex_time=86400)
broker = RedisStreamBroker(url=URL).with_result_backend(results)
client = redis.asyncio.Redis.from_url(URL)


def result(i):
    return {"id": i, "passed": True, "cost": 0.0125, "tokens": 1234, "text": "x" * 130}


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def ready(state: TaskiqState):
    broker.state.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    await client.rpush("bench:ready", 1)


async def count_down(value):
    """taskiq has no fan-in: result and countdown are written in one MULTI, by hand."""
    async with client.pipeline(transaction=True) as transaction:
        transaction.rpush("bench:results", json.dumps(value)).decr("bench:count")
        _, left = await transaction.execute()
    if left == 0:
        await collect.kiq()
    return value


@broker.task
async def noop(i: int) -> dict:
    return await count_down(result(i))


@broker.task
async def io(i: int) -> dict:
    url = f"http://127.0.0.1:{os.environ['BENCH_MOCK_PORT']}/v1/chat"
    async with broker.state.http.post(url, json={"i": i}) as response:
        await response.read()
    return await count_down(result(i))


@broker.task
async def collect() -> int:
    seen = [json.loads(text) for text in await client.lrange("bench:results", 0, -1)]
    await client.rpush("bench:fired", f"{time.time()}:{len(seen)}")
    return len(seen)


@broker.task
async def hop(i: int, n: int) -> dict:
    """A chain made by hand: each task enqueues the next one."""
    if i + 1 < n:
        await hop.kiq(i + 1, n)
    else:
        await client.rpush("bench:fired", f"{time.time()}:1")
    return result(i)
