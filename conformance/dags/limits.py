"""Pools, priorities and the limits of a Dag: a task that overlaps another fails itself."""

from __future__ import annotations

import contextlib
import datetime
import os
import pathlib
import time

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule, task

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
STATE = pathlib.Path(__file__).parent.parent / "limits"


@contextlib.contextmanager
def places(name, count):
    """Takes one of `count` places, or fails when all are taken."""
    STATE.mkdir(exist_ok=True)
    for place in range(count):
        path = STATE / f"{name}-{place}"
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        try:
            yield
        finally:
            path.unlink()
        return
    raise RuntimeError(f"more than {count} tasks run at once in {name}")


def guarded(name, count):
    with places(name, count):
        time.sleep(0.3)


with DAG(dag_id="conformance_pools", schedule=None, start_date=START, max_active_tasks=8):

    @task(pool="conformance_one_slot")
    def alone(i):
        guarded("one_slot", 1)

    @task(pool="conformance_three_slots", pool_slots=2)
    def wide(i):
        guarded("three_slots", 1)

    @task(pool="conformance_no_slots", trigger_rule=TriggerRule.ALL_DONE)
    def never():
        raise RuntimeError("a pool without slots must not run anything")

    alone.expand(i=[1, 2, 3])
    wide.expand(i=[1, 2, 3])

with DAG(
    dag_id="conformance_pool_without_slots",
    schedule=None,
    start_date=START,
    dagrun_timeout=datetime.timedelta(seconds=12),
):
    EmptyOperator(task_id="free") >> never()

with DAG(dag_id="conformance_task_limits", schedule=None, start_date=START, max_active_tasks=2):

    @task(max_active_tis_per_dag=1)
    def one_per_dag(i):
        guarded("one_per_dag", 1)

    @task(max_active_tis_per_dagrun=1)
    def one_per_run(i):
        guarded("one_per_run", 1)

    @task
    def two_per_dag(i):
        guarded("two_per_dag", 2)

    one_per_dag.expand(i=[1, 2, 3])
    one_per_run.expand(i=[1, 2, 3])
    two_per_dag.expand(i=[1, 2, 3, 4])

with DAG(dag_id="conformance_run_limit", schedule=None, start_date=START, max_active_runs=1):

    @task
    def only_run():
        guarded("only_run", 1)

    only_run() >> only_run.override(task_id="only_run_again")()

with DAG(dag_id="conformance_priorities", schedule=None, start_date=START, max_active_tasks=1):

    @task
    def note(name):
        order = STATE / "order"
        STATE.mkdir(exist_ok=True)
        with order.open("a") as file:
            file.write(f"{name}\n")

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def read_order():
        order = STATE / "order"
        names = order.read_text().split()
        order.unlink()
        return names

    start = EmptyOperator(task_id="start")
    end = read_order()
    for name, weight in {"low": 1, "high": 100, "middle": 10, "negative": -5}.items():
        noted = note.override(task_id=name, priority_weight=weight, weight_rule="absolute")(name)
        start >> noted >> end

with DAG(dag_id="conformance_weight_rules", schedule=None, start_date=START):
    for rule in ["downstream", "upstream", "absolute"]:
        first, second, third, fourth = (
            EmptyOperator(task_id=f"{rule}_{i}", priority_weight=i, weight_rule=rule) for i in range(1, 5)
        )
        first >> [second, third] >> fourth
