"""Dags of every shape whose outcome does not depend on how often they are interrupted."""

from __future__ import annotations

import time
from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import dag, get_current_context, task

from recorder import is_first_time, recorded


def work(seconds: float = 0.02) -> None:
    with recorded(get_current_context()["ti"]):
        time.sleep(seconds)


@dag(schedule=None)
def chain():
    @task
    def first() -> int:
        work()
        return 1

    @task
    def plus_one(value: int) -> int:
        work()
        return value + 1

    @task
    def must_be(value: int) -> None:
        work()
        if value != 5:
            raise ValueError(f"an XCom was lost: {value}")

    value = first()
    for _ in range(4):
        value = plus_one(value)
    must_be(value)


@dag(schedule=None)
def fan_out():
    @task
    def one_of_many() -> None:
        work(0.6)

    start, end = EmptyOperator(task_id="start"), EmptyOperator(task_id="end")
    for number in range(5):
        start >> one_of_many.override(task_id=f"branch_{number}")() >> end


@dag(schedule=None)
def mapped():
    @task
    def numbers() -> list[int]:
        work()
        return [1, 2, 3, 4]

    @task
    def square(number: int) -> int:
        work(0.05)
        return number * number

    @task
    def total(squares) -> None:
        work()
        found = sum(squares)
        if found != 30:
            raise ValueError(f"an XCom of a mapped task was lost: {found}")

    total(square.expand(number=numbers()))


@dag(schedule=None)
def shell():
    # The shell and what it starts live in a session of their own; they hold the lock, too.
    BashOperator(
        task_id="sleep",
        bash_command="""
            exec 9>>"$AIRFLOW_HOME/record/{{ dag.dag_id }}.{{ run_id }}.shell.lock"
            flock --nonblock 9 ||
                echo '{"event": "overlap", "task_id": "sleep"}' >>"$AIRFLOW_HOME/record/events.jsonl"
            sleep 0.7
        """,
    ) >> EmptyOperator(task_id="done")


@dag(schedule=None)
def retried():
    @task(retries=1_000, retry_delay=timedelta(0))
    def fails_once() -> None:
        work()
        if is_first_time(get_current_context()["ti"]):
            raise RuntimeError("the first time fails")

    fails_once() >> EmptyOperator(task_id="done")


@dag(schedule=None)
def interrupted():
    @task
    def takes_long_at_first() -> None:
        # Longer than any life of the process that runs it, unless that is the last one.
        work(15 if is_first_time(get_current_context()["ti"]) else 0.02)

    takes_long_at_first() >> EmptyOperator(task_id="done")


@dag(schedule=None)
def branched():
    @task.branch
    def choose() -> str:
        work()
        return "taken"

    end = EmptyOperator(task_id="end", trigger_rule="none_failed_min_one_success")
    chosen = choose()
    chosen >> EmptyOperator(task_id="taken") >> end
    chosen >> EmptyOperator(task_id="not_taken") >> end


@dag(schedule=None)
def failing():
    @task
    def fails() -> None:
        work()
        raise RuntimeError("always fails")

    fails() >> EmptyOperator(task_id="never_runs")


for build in (chain, fan_out, mapped, shell, retried, interrupted, branched, failing):
    build()
