"""Writes down when a task begins and ends, and notices when two tries of it overlap.

A lock per task instance is held as long as the process lives, so the kernel lets go of it however
the process ends. Lines are appended whole: each is one small write.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from pathlib import Path

RECORD = Path(os.environ["AIRFLOW_HOME"]) / "record"


def note(event: str, ti) -> None:
    line = {
        "event": event,
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
        "map_index": ti.map_index,
        "try_number": ti.try_number,
        "pid": os.getpid(),
        "at": time.monotonic(),
    }
    RECORD.mkdir(exist_ok=True)
    fd = os.open(RECORD / "events.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, (json.dumps(line) + "\n").encode())
    os.close(fd)


def key_of(ti) -> str:
    return f"{ti.dag_id}.{ti.run_id}.{ti.task_id}.{ti.map_index}"


@contextlib.contextmanager
def recorded(ti):
    """Everything between the two lines happens while no other try of the task instance does."""
    RECORD.mkdir(exist_ok=True)
    lock = os.open(RECORD / f"{key_of(ti)}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note("overlap", ti)
    note("start", ti)
    yield
    note("end", ti)


def is_first_time(ti) -> bool:
    """Whether no try of this task instance came here before."""
    try:
        os.close(os.open(RECORD / f"{key_of(ti)}.seen", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
