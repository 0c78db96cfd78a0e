"""Empty operators, fanned out and in a chain: the cost of scheduling alone."""

from __future__ import annotations

import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, chain

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)

with DAG(dag_id="bench_fan_empty_1000", schedule=None, start_date=START):
    start = EmptyOperator(task_id="start")
    start >> [EmptyOperator(task_id=f"task_{i:04}") for i in range(1000)]

with DAG(dag_id="bench_chain_empty_100", schedule=None, start_date=START):
    chain(*(EmptyOperator(task_id=f"step_{i:03}") for i in range(100)))
