"""A run whose deadlines count from times that only a plugin knows."""
from __future__ import annotations

import json
import pathlib
from datetime import timedelta

from airflow.sdk import DAG, DeadlineAlert, SyncCallback, task
from own_references import Broken, Queued

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
