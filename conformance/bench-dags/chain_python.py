"""Forty Python tasks of ten milliseconds, one after the other."""

from __future__ import annotations

import datetime
import time

from airflow.sdk import DAG, chain, task

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


@task
def ten_milliseconds():
    time.sleep(0.01)


with DAG(dag_id="bench_warm_up", schedule=None, start_date=START):
    chain(*(ten_milliseconds.override(task_id=f"step_{i}")() for i in range(3)))

with DAG(dag_id="bench_chain_python_40", schedule=None, start_date=START):
    chain(*(ten_milliseconds.override(task_id=f"step_{i:02}")() for i in range(40)))
