"""The workloads of the benchmark: the same file runs on every engine."""

from __future__ import annotations

import datetime
import time

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, chain, task

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


@task
def ten_milliseconds():
    time.sleep(0.01)


with DAG(dag_id="bench_warm_up", schedule=None, start_date=START):
    chain(*(ten_milliseconds.override(task_id=f"step_{i}")() for i in range(3)))

with DAG(dag_id="bench_chain_python_40", schedule=None, start_date=START):
    chain(*(ten_milliseconds.override(task_id=f"step_{i:02}")() for i in range(40)))

with DAG(dag_id="bench_fan_python_100", schedule=None, start_date=START):
    for i in range(100):
        ten_milliseconds.override(task_id=f"task_{i:03}")()

with DAG(dag_id="bench_fan_bash_100", schedule=None, start_date=START):
    for i in range(100):
        BashOperator(task_id=f"task_{i:03}", bash_command="echo hello")

with DAG(dag_id="bench_fan_empty_1000", schedule=None, start_date=START):
    start = EmptyOperator(task_id="start")
    start >> [EmptyOperator(task_id=f"task_{i:04}") for i in range(1000)]

with DAG(dag_id="bench_chain_empty_100", schedule=None, start_date=START):
    chain(*(EmptyOperator(task_id=f"step_{i:03}") for i in range(100)))
