"""The actors of the comparison, for `dramatiq tasks` and for the dispatcher."""

import http.client
import os
import threading
import time

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import GroupCallbacks, Middleware
from dramatiq.rate_limits.backends import RedisBackend as CountdownBackend
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend as ResultBackend

URL = os.environ["BENCH_REDIS"]

client = redis.Redis.from_url(URL)
local = threading.local()


class Ready(Middleware):
    def after_worker_boot(self, broker, worker):
        client.rpush("bench:ready", 1)


broker = RedisBroker(url=URL)
broker.add_middleware(GroupCallbacks(CountdownBackend(url=URL)))
broker.add_middleware(Results(backend=ResultBackend(url=URL)))
broker.add_middleware(Ready())
dramatiq.set_broker(broker)


def result(i):
    return {"id": i, "passed": True, "cost": 0.0125, "tokens": 1234, "text": "x" * 130}


def post(i):
    """One call over the connection of this thread, which stays open."""
    if not hasattr(local, "connection"):
        local.connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["BENCH_MOCK_PORT"]))
    local.connection.request("POST", "/v1/chat", body=b'{"i":%d}' % i, headers={"Content-Type": "application/json"})
    local.connection.getresponse().read()


@dramatiq.actor(store_results=True)
def noop(i):
    return result(i)


@dramatiq.actor(store_results=True)
def io(i):
    post(i)
    return result(i)


@dramatiq.actor
def collect(n):
    """A completion callback is not handed the results; `n` is what the dispatcher says there are."""
    client.rpush("bench:fired", f"{time.time()}:{n}")


@dramatiq.actor(store_results=True)
def hop(i, n):
    """A chain made by hand: each message enqueues the next one."""
    if i + 1 < n:
        hop.send(i + 1, n)
    else:
        collect.send(1)
    return result(i)
