"""Tasks that wait for something, each for something else."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("waits", schedule=None):
    slow = BashOperator(task_id="slow", bash_command="sleep 600")
    slow >> BashOperator(task_id="below", bash_command="true")
    BashOperator(task_id="crowded", bash_command="true", pool="narrow")
    BashOperator(
        task_id="again", bash_command="exit 1", retries=3, retry_delay=timedelta(hours=1)
    )
