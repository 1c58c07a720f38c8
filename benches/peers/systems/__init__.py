"""The queues that are compared. Each module says how one is started; `system.py` says what that takes."""

from .apalis import Apalis
from .bullmq import BullMQ
from .celery import Celery
from .dramatiq import Dramatiq
from .sidekiq import Sidekiq
from .system import Commands, End, Run, System
from .taskiq import Taskiq
from .testfleet import Testfleet

SYSTEMS: dict[str, type[System]] = {
    system.name: system for system in (Testfleet, BullMQ, Apalis, Celery, Sidekiq, Taskiq, Dramatiq)
}

__all__ = ["Commands", "End", "Run", "SYSTEMS", "System"]
