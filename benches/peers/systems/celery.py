"""Celery with Redis as broker and result backend."""

from __future__ import annotations

from redis_server import Client

from .system import HERE, PYTHON, Commands, Run, System, python_version


class Celery(System):
    name = "celery"
    # pool: prefork, threads, gevent; late=1: acks_late with a prefetch multiplier of 1; how=flow: chain() for W2.
    defaults = {"pool": "", "c": "", "late": "", "how": ""}

    def version(self) -> str:
        return python_version("celery")

    def commands(self, run: Run) -> Commands:
        pool = self.option("pool", "threads" if run.workload == "W3" else "prefork")
        concurrency = self.option("c", "2" if pool == "prefork" else "200")
        how = self.option("how", "hop" if run.workload == "W2" else "flow")
        late = " acks_late" if self.options["late"] else ""
        celery = [str(PYTHON / "celery"), "-A", "tasks", "worker", "-l", "WARNING"]
        return Commands(
            setting=f"{'hop' if how == 'hop' else 'chord' if run.workload != 'W2' else 'chain'}, {pool} {concurrency}{late}",
            workers=[[*celery, "-P", pool, "-c", concurrency]],
            dispatcher=[str(PYTHON / "python"), "dispatch.py", run.workload, str(run.jobs), how],
            directory=HERE / "celery",
            environment={"BENCH_LATE": self.options["late"]},
        )

    def retained(self, redis: Client, dispatched: dict) -> int:
        return redis.count_keys("celery-task-meta-*")
