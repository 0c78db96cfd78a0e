"""Tasks that end in every other way than by returning."""

from __future__ import annotations

import datetime
import os
import signal
import sys
import time

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule, task

with DAG(
    dag_id="conformance_deaths",
    schedule=None,
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    default_args={"retry_delay": datetime.timedelta(milliseconds=200)},
):

    @task
    def killed():
        os.kill(os.getpid(), signal.SIGKILL)

    @task(retries=1)
    def killed_once(ti=None):
        if ti.try_number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return "second try"

    @task
    def aborts():
        os.abort()

    @task
    def segfaults():
        os.kill(os.getpid(), signal.SIGSEGV)

    @task
    def exits_hard_with_zero():
        os._exit(0)

    @task
    def exits_hard_with_one():
        os._exit(1)

    @task
    def exits_with_zero():
        sys.exit(0)

    @task
    def exits_with_three():
        sys.exit(3)

    @task
    def interrupted():
        raise KeyboardInterrupt

    @task(execution_timeout=datetime.timedelta(seconds=1))
    def times_out():
        time.sleep(60)

    @task(execution_timeout=datetime.timedelta(seconds=1), retries=1)
    def times_out_once(ti=None):
        if ti.try_number == 1:
            time.sleep(60)
        return "second try"

    @task
    def too_much_recursion():
        return too_much()

    def too_much():
        return too_much()

    BashOperator(
        task_id="bash_times_out",
        bash_command="sleep 60",
        execution_timeout=datetime.timedelta(seconds=1),
    )
    dead = killed()
    dead >> EmptyOperator(task_id="after_killed")
    dead >> EmptyOperator(task_id="after_killed_anyway", trigger_rule=TriggerRule.ALL_DONE)
    killed_once()
    aborts()
    segfaults()
    exits_hard_with_zero()
    exits_hard_with_one()
    exits_with_zero()
    exits_with_three()
    interrupted()
    times_out()
    times_out_once()
    too_much_recursion()
