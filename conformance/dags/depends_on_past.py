"""Tasks that look at their predecessor in the previous run. The plan triggers three runs."""

from __future__ import annotations

import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)

with DAG(
    dag_id="conformance_depends_on_past",
    schedule=None,
    start_date=START,
    dagrun_timeout=datetime.timedelta(seconds=40),
    default_args={"depends_on_past": True},
):

    @task
    def fails_second(dag_run=None):
        if dag_run.run_id == "second":
            raise ValueError("fails on purpose")

    @task
    def skips_second(dag_run=None):
        if dag_run.run_id == "second":
            raise AirflowSkipException("skipped on purpose")

    @task
    def always_fine(dag_run=None):
        return dag_run.run_id

    fails_second() >> EmptyOperator(task_id="after_failure")
    skips_second() >> EmptyOperator(task_id="after_skip")
    always_fine() >> EmptyOperator(task_id="after_fine", wait_for_downstream=True)
