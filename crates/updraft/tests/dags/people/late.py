"""Runs that are late, and what is called then."""
from __future__ import annotations

import json
import os
import pathlib
import signal
import time
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference, SyncCallback, Variable
from airflow.sdk import task
from airflow.sdk.bases.notifier import BaseNotifier
from airflow.sdk.definitions.deadline import VariableInterval

HOME = pathlib.Path(__file__).parent.parent
AT_ONCE = timedelta(seconds=-1)


def record(name, **fields):
    with open(HOME / name, "a") as file:
        file.write(json.dumps(fields, default=str) + "\n")


def note(name, context=None, **kwargs):
    """Write down what a callback gets."""
    print(f"noting {name}")
    deadline = context["deadline"]
    record(
        name,
        kwargs=kwargs,
        dag_run=context["dag_run"],
        deadline_time=deadline["deadline_time"].isoformat(),
        deadline_id=deadline["id"],
    )


class Notice(BaseNotifier):
    """A notifier as providers have them."""

    template_fields = ("message",)

    def __init__(self, message):
        super().__init__()
        self.message = message

    def notify(self, context):
        record("notice", message=self.message)


def ask_the_store():
    record("store", secret=Variable.get("colour"))
    print("the colour is", Variable.get("colour"))


def write_nowhere():
    """Callbacks cannot write variables, as in Airflow."""
    Variable.set("colour", "none")


def raise_error(why):
    raise ValueError(f"because of {why}")


def die():
    print("about to die", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def leave():
    os._exit(7)


def hang():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1)


def take_long():
    record("long", pid=os.getpid())
    while not (HOME / "go").exists():
        time.sleep(0.02)


async def later(context=None):
    record("async", dag_run=context["dag_run"]["dag_run_id"])


def late(callback, interval=AT_ONCE, reference=DeadlineReference.DAGRUN_QUEUED_AT):
    return DeadlineAlert(reference=reference, interval=interval, callback=callback)


def sync(function, **kwargs):
    return late(SyncCallback(function, kwargs=kwargs or None))


@task
def hello():
    return "hello"


def dag(dag_id, *deadlines, **kwargs):
    with DAG(dag_id, schedule=None, deadline=list(deadlines), **kwargs) as dag:
        hello()
    return dag


dag("noted", sync(note, name="noted", when=datetime(2026, 1, 5, tzinfo=timezone.utc), n=[1, 2.5]))
dag("noticed", sync(Notice, message="{{ dag_run.dag_id }} is late: {{ deadline.deadline_time.year }}"))
dag("stored", sync(ask_the_store))
dag(
    "referenced",
    late(SyncCallback(note, kwargs={"name": "referenced", "at": "queued_at"})),
    late(
        SyncCallback(note, kwargs={"name": "referenced", "at": "logical_date"}),
        reference=DeadlineReference.DAGRUN_LOGICAL_DATE,
    ),
    late(
        SyncCallback(note, kwargs={"name": "referenced", "at": "fixed"}),
        reference=DeadlineReference.FIXED_DATETIME(datetime(2026, 1, 5, tzinfo=timezone.utc)),
    ),
    late(
        SyncCallback(note, kwargs={"name": "referenced", "at": "average"}),
        interval=timedelta(seconds=-3600),
        reference=DeadlineReference.AVERAGE_RUNTIME(max_runs=1),
    ),
    late(SyncCallback(note, kwargs={"name": "referenced", "at": "variable"}), VariableInterval("patience")),
    late(SyncCallback(note, kwargs={"name": "referenced", "at": "never"}), VariableInterval("missing")),
    late(SyncCallback(note, kwargs={"name": "referenced", "at": "in time"}), timedelta(hours=1)),
)
dag("asynchronous", late(AsyncCallback("late.later")))
dag(
    "troubled",
    sync(raise_error, why="reasons"),
    sync(die),
    sync(leave),
    sync(hang),
    sync(write_nowhere),
    late(SyncCallback("nowhere.nothing")),
    late(SyncCallback(note, kwargs={"name": "troubled"}, executor="OddExecutor")),
)
dag("slow", sync(take_long))
