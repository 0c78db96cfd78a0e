"""Dags whose backfills, waits and unmet dependencies are recorded."""
from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, CronPartitionTimetable, Param, task

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
DAILY = {"schedule": "0 0 * * *", "start_date": START, "catchup": False}

with DAG("nightly", params={"limit": Param(10, type="integer", minimum=1)}, **DAILY):
    EmptyOperator(task_id="pull") >> EmptyOperator(task_id="push")

with DAG("strict_past", **DAILY):
    BashOperator(task_id="chained", bash_command="sleep 600", depends_on_past=True)

with DAG("by_hand", schedule=None):
    EmptyOperator(task_id="only")

with DAG("ordinary_only", allowed_run_types=["scheduled", "manual"], **DAILY):
    EmptyOperator(task_id="only")

with DAG("nothing_periodic_allowed", schedule=None, allowed_run_types=["manual"]):
    EmptyOperator(task_id="only")

with DAG("parts", schedule=CronPartitionTimetable("0 0 * * *", timezone="Europe/Berlin"), start_date=START, catchup=False):
    EmptyOperator(task_id="only")

with DAG("results", schedule=None):

    @task
    def one():
        return {"a": [1, None, "ü"]}

    @task
    def many(n):
        return n * n

    one() >> many.expand(n=[1, 2, 3])

RULES = [
    "all_success", "all_failed", "all_done", "all_done_min_one_success", "one_success", "one_failed", "one_done",
    "none_failed", "none_skipped", "all_skipped", "none_failed_min_one_success",
]

with DAG("gates", schedule=None, start_date=datetime(2026, 2, 1, tzinfo=timezone.utc)):
    ok = EmptyOperator(task_id="ok")
    slow = BashOperator(task_id="slow", bash_command="sleep 600")
    for rule in RULES:
        slow >> EmptyOperator(task_id=f"alone_{rule}", trigger_rule=rule)
        [ok, slow] >> EmptyOperator(task_id=f"both_{rule}", trigger_rule=rule)
    BashOperator(task_id="no_pool", bash_command="true", pool="missing")
    BashOperator(task_id="full_pool", bash_command="true", pool="closed", pool_slots=2)
    PythonOperator(task_id="limited", python_callable=print, max_active_tis_per_dag=0)
    PythonOperator(task_id="limited_in_run", python_callable=print, max_active_tis_per_dagrun=0)
    set_up = BashOperator(task_id="set_up", bash_command="sleep 600").as_setup()
    worked = EmptyOperator(task_id="worked")
    more = EmptyOperator(task_id="more", trigger_rule="all_done")
    tear_down = EmptyOperator(task_id="tear_down").as_teardown(setups=set_up)
    set_up >> worked >> more >> tear_down
    EmptyOperator(task_id="failing_branch", trigger_rule="always")
