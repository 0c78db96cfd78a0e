"""Dags that trigger Dags: with a conf, twice with the same run id, and one that waits."""

from __future__ import annotations

import datetime

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, task

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)

with DAG(
    dag_id="conformance_triggered",
    schedule=None,
    start_date=START,
    params={"colour": "white"},
    is_paused_upon_creation=False,
):

    @task
    def conf_and_params(dag_run=None, params=None):
        if dag_run.conf.get("fail"):
            raise ValueError("fails on request")
        return [dag_run.conf, dict(params), dag_run.run_type]

    conf_and_params()

with DAG(dag_id="conformance_triggering", schedule=None, start_date=START):
    first = TriggerDagRunOperator(
        task_id="first",
        trigger_dag_id="conformance_triggered",
        trigger_run_id="from_conformance_triggering",
        logical_date="2026-02-01T00:00:00+00:00",
        conf={"colour": "{{ ds }}", "list": [1, 2]},
    )
    same_again = TriggerDagRunOperator(
        task_id="same_again",
        trigger_dag_id="conformance_triggered",
        trigger_run_id="from_conformance_triggering",
        logical_date="2026-02-01T00:00:00+00:00",
    )
    skipped_when_there = TriggerDagRunOperator(
        task_id="skipped_when_there",
        trigger_dag_id="conformance_triggered",
        trigger_run_id="from_conformance_triggering",
        logical_date="2026-02-01T00:00:00+00:00",
        skip_when_already_exists=True,
    )
    first >> [same_again, skipped_when_there]
    TriggerDagRunOperator(
        task_id="waits",
        trigger_dag_id="conformance_triggered",
        trigger_run_id="waited_for",
        logical_date="2026-02-02T00:00:00+00:00",
        wait_for_completion=True,
        poke_interval=1,
    )
    TriggerDagRunOperator(
        task_id="waits_for_a_failure",
        trigger_dag_id="conformance_triggered",
        trigger_run_id="waited_for_failure",
        logical_date="2026-02-03T00:00:00+00:00",
        conf={"fail": True},
        wait_for_completion=True,
        poke_interval=1,
    )
    TriggerDagRunOperator(task_id="unknown_dag", trigger_dag_id="conformance_no_such_dag")
