"""A Dag of a Git repository: its second task waits until a file is there."""

from __future__ import annotations

import os
import time
from pathlib import Path

from airflow.sdk import DAG, task

from pinned_word import WORD

HOME = Path(os.environ["AIRFLOW_HOME"])


def record(text):
    with (HOME / "record.txt").open("a") as file:
        file.write(text + "\n")


def say_so(context):
    record(f"{context['run_id']} callback {WORD}")


with DAG("pinned", schedule=None, on_success_callback=say_so):

    @task
    def wait():
        while not (HOME / "go").exists():
            time.sleep(0.05)

    @task
    def last(run_id=None):
        record(f"{run_id} last {WORD}")

    wait() >> last()
