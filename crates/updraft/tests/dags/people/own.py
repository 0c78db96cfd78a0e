"""Runs whose deadlines need a plugin: times from which they count, and what is called."""
from __future__ import annotations

import json
import pathlib
from datetime import datetime, timedelta, timezone

from airflow.sdk import DAG, AsyncCallback, DeadlineAlert, DeadlineReference, SyncCallback, task
from own_references import Broken, Queued, fail, tell

HOME = pathlib.Path(__file__).parent.parent


def note(text, context=None):
    with open(HOME / "own", "a") as file:
        file.write(json.dumps({"text": text, "deadline": context["deadline"]}, default=str) + "\n")


def late(reference, interval, text):
    callback = SyncCallback(note, kwargs={"text": text})
    return DeadlineAlert(reference=reference, interval=interval, callback=callback)


with DAG(
    "own",
    schedule=None,
    deadline=[
        late(Queued(), timedelta(0), "late"),
        late(Queued(), timedelta(hours=1), "in time"),
        late(Broken(), timedelta(0), "never"),
    ],
):

    @task
    def hello():
        return "hello"

    hello()


async def here():
    """The triggerer does not find it by the name that this file has while it is parsed."""


def at_once(function, **kwargs):
    return DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(seconds=-1),
        callback=AsyncCallback(function, kwargs=kwargs or None),
    )


WHEN = datetime(2026, 1, 5, tzinfo=timezone.utc)

with DAG("awaited", schedule=None, deadline=[at_once(tell, when=WHEN), at_once(fail), at_once(here)]):

    @task
    def wave():
        return "hello"

    wave()
