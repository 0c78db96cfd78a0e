"""Setups and teardowns, good and failing, and what they mean for the run's state."""

from __future__ import annotations

import datetime

from airflow.sdk import DAG, setup, task, task_group, teardown

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


@task
def work():
    return "work"


@task
def failing_work():
    raise ValueError("fails on purpose")


# These stay plain functions: a decorated teardown can be called in one Dag only.
def make():
    return "made"


def remove():
    return "removed"


def failing():
    raise ValueError("fails on purpose")


with DAG(dag_id="conformance_setup_teardown_good", schedule=None, start_date=START):
    made, removed = setup(make)(), teardown(remove)()
    made >> work() >> removed
    made >> removed

with DAG(dag_id="conformance_setup_teardown_failing_work", schedule=None, start_date=START):
    made, removed = setup(make)(), teardown(remove)()
    made >> failing_work() >> work() >> removed
    made >> removed

with DAG(dag_id="conformance_setup_teardown_failing_setup", schedule=None, start_date=START):
    made, removed = setup(failing)(), teardown(remove)()
    made >> work() >> removed
    made >> removed

# The work is done: a failing teardown does not fail the run.
with DAG(dag_id="conformance_setup_teardown_failing_teardown", schedule=None, start_date=START):
    made, removed = setup(make)(), teardown(failing)()
    made >> work() >> removed >> work.override(task_id="after")()
    made >> removed

with DAG(dag_id="conformance_setup_teardown_counting_teardown", schedule=None, start_date=START):
    made, removed = setup(make)(), teardown(on_failure_fail_dagrun=True)(failing)()
    made >> work() >> removed
    made >> removed

with DAG(dag_id="conformance_setup_teardown_nested", schedule=None, start_date=START):
    outer_made, outer_removed = setup(make)(), teardown(remove)()

    @task_group
    def inner():
        made, removed = setup(make)(), teardown(remove)()
        made >> failing_work() >> removed
        made >> removed

    outer_made >> inner() >> work.override(task_id="after_inner")() >> outer_removed
    outer_made >> outer_removed

with DAG(dag_id="conformance_setup_teardown_context", schedule=None, start_date=START):
    with setup(make)() >> teardown(remove)():
        work() >> failing_work() >> work.override(task_id="never")()
