"""A hundred shell commands that do not depend on each other."""

from __future__ import annotations

import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)

with DAG(dag_id="bench_fan_bash_100", schedule=None, start_date=START):
    for i in range(100):
        BashOperator(task_id=f"task_{i:03}", bash_command="echo hello")
