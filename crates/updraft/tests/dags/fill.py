"""Dags to be backfilled: one whose days depend on each other, one of many quick days."""

from __future__ import annotations

import time
from datetime import datetime, timezone

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, dag, task

START = datetime(2020, 1, 1, tzinfo=timezone.utc)


@dag(schedule="0 0 * * *", start_date=START, catchup=False)
def ordered():
    @task(depends_on_past=True)
    def work():
        time.sleep(0.3)

    work()


ordered()

with DAG("quick", schedule="0 0 * * *", start_date=START, catchup=False):
    EmptyOperator(task_id="first") >> EmptyOperator(task_id="last")
