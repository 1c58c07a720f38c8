"""The tasks of the comparison, for `celery -A tasks worker` and for the dispatcher."""

import http.client
import os
import threading
import time

import redis
from celery import Celery
from celery.signals import worker_ready

URL = os.environ["BENCH_REDIS"]

app = Celery("tasks", broker=URL, backend=URL)
app.conf.broker_connection_retry_on_startup = True
if os.environ.get("BENCH_LATE"):
    app.conf.task_acks_late = True
    app.conf.worker_prefetch_multiplier = 1

client = redis.Redis.from_url(URL)
local = threading.local()


def result(i):
    return {"id": i, "passed": True, "cost": 0.0125, "tokens": 1234, "text": "x" * 130}


def post(i):
    """One call over the connection of this thread (or greenlet), which stays open."""
    if not hasattr(local, "connection"):
        local.connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["BENCH_MOCK_PORT"]))
    local.connection.request("POST", "/v1/chat", body=b'{"i":%d}' % i, headers={"Content-Type": "application/json"})
    local.connection.getresponse().read()


@worker_ready.connect
def ready(**_):
    client.rpush("bench:ready", 1)


@app.task
def noop(i):
    return result(i)


@app.task
def io(i):
    post(i)
    return result(i)


@app.task
def collect(results):
    client.rpush("bench:fired", f"{time.time()}:{len(results)}")


@app.task
def chain_end():
    client.rpush("bench:fired", f"{time.time()}:1")


@app.task
def hop(i, n):
    """A chain made by hand: each task enqueues the next one."""
    if i + 1 < n:
        hop.delay(i + 1, n)
    else:
        chain_end.delay()
    return result(i)
