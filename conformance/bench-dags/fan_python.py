"""A hundred Python tasks of ten milliseconds that do not depend on each other."""

from __future__ import annotations

import datetime
import time

from airflow.sdk import DAG, task

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


@task
def ten_milliseconds():
    time.sleep(0.01)


with DAG(dag_id="bench_fan_python_100", schedule=None, start_date=START):
    for i in range(100):
        ten_milliseconds.override(task_id=f"task_{i:03}")()
