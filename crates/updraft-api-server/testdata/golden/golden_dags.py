"""Dags whose HTTP answers are recorded."""
from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param, TaskGroup, task

UTC = timezone.utc

with DAG(
    "daily_sales",
    schedule="0 6 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    tags=["sales", "daily"],
    description="Sums the day's sales",
    doc_md="# Daily sales",
    default_args={"owner": "ann", "retries": 2, "retry_delay": timedelta(minutes=3)},
    params={"region": Param("eu", type="string", enum=["eu", "us"]), "limit": Param(10, type="integer", minimum=1)},
    max_active_tasks=8,
    dagrun_timeout=timedelta(hours=2),
    owner_links={"ann": "https://example.org/ann"},
) as daily_sales:
    extract = BashOperator(task_id="extract", bash_command="echo extracting", pool_slots=2)
    with TaskGroup("load") as load:
        rows = EmptyOperator(task_id="rows")
        index = BashOperator(task_id="index", bash_command="echo {{ params.region }}", execution_timeout=timedelta(seconds=90))
        rows >> index
    done = EmptyOperator(task_id="done", trigger_rule="all_done")
    extract >> load >> done

with DAG("mapped", schedule=None, tags=["mapped"], default_args={"owner": "bob"}) as mapped:

    @task
    def numbers():
        return [1, 2, 3]

    @task(map_index_template="n={{ n }}")
    def double(n: int, by: int):
        return n * by

    @task
    def total(values):
        return sum(values)

    total(double.partial(by=2).expand(n=numbers()))

with DAG("plain", schedule=timedelta(hours=1), start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False, allowed_run_types=None) as plain:
    EmptyOperator(task_id="only")
