"""How a run ends: early because of one failure, or because its time is up."""

from __future__ import annotations

import datetime
import time

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule, task

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)

with DAG(dag_id="conformance_fail_fast", schedule=None, start_date=START, fail_fast=True):

    @task
    def fails():
        time.sleep(1)
        raise ValueError("fails on purpose")

    @task
    def runs_long():
        time.sleep(60)

    @task
    def quick():
        return "done before the failure"

    done = quick()
    done >> fails() >> EmptyOperator(task_id="after_failure")
    runs_long() >> EmptyOperator(task_id="after_long")

with DAG(
    dag_id="conformance_dagrun_timeout",
    schedule=None,
    start_date=START,
    dagrun_timeout=datetime.timedelta(seconds=15),
):

    @task
    def too_long():
        time.sleep(60)

    @task
    def in_time():
        return "in time"

    in_time() >> too_long() >> EmptyOperator(task_id="after_too_long")

with DAG(dag_id="conformance_failed_leaf", schedule=None, start_date=START):

    @task
    def fails_early():
        raise ValueError("fails on purpose")

    # The only leaf is fine: so is the run, whatever happened before.
    fails_early() >> EmptyOperator(task_id="good_leaf", trigger_rule=TriggerRule.ALL_DONE)

with DAG(dag_id="conformance_skipped_leaves", schedule=None, start_date=START):

    @task.short_circuit
    def stop():
        return False

    stop() >> EmptyOperator(task_id="skipped_leaf")

with DAG(dag_id="conformance_without_tasks", schedule=None, start_date=START):
    pass
