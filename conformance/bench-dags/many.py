"""Sixty small Dags: something to list."""

from __future__ import annotations

import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

for i in range(60):
    with DAG(
        dag_id=f"bench_listed_{i:02}",
        description=f"Dag number {i} of the list",
        schedule="@daily",
        catchup=False,
        start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
        default_args={"owner": f"team {i % 5}"},
        tags=["bench", f"group {i % 7}"],
    ):
        EmptyOperator(task_id="first") >> EmptyOperator(task_id="second")
