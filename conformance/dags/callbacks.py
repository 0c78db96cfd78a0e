"""Callbacks of tasks and runs. Each writes a line that the conformance run reads."""

from __future__ import annotations

import datetime
import os
import pathlib
import signal

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
FOLDER = pathlib.Path(__file__).parent.parent / "callbacks"


def note(event):
    def callback(context):
        FOLDER.mkdir(exist_ok=True)
        ti = context.get("ti")
        # Callbacks of a run get the instance that decided it; which one is up to the engine.
        subject = "run" if event.startswith("run") else f"{ti.task_id} try {ti.try_number}"
        reason = context.get("reason", "") if event.startswith("run") else type(context.get("exception")).__name__
        with (FOLDER / f"{context['dag_run'].dag_id}.txt").open("a") as file:
            file.write(f"{event}: {subject} {reason}\n")

    return callback


def broken(context):
    raise ValueError("a callback that fails must not hurt its task")


CALLBACKS = {
    "on_execute_callback": note("execute"),
    "on_success_callback": [broken, note("success")],
    "on_failure_callback": note("failure"),
    "on_retry_callback": note("retry"),
    "on_skipped_callback": note("skipped"),
}

with DAG(
    dag_id="conformance_callbacks",
    schedule=None,
    start_date=START,
    default_args={**CALLBACKS, "retry_delay": datetime.timedelta(milliseconds=200)},
    on_failure_callback=note("run failed"),
    on_success_callback=note("run succeeded"),
):

    @task
    def succeeds():
        pass

    @task(retries=1)
    def fails():
        raise ValueError("fails on purpose")

    @task
    def skips():
        raise AirflowSkipException("skipped on purpose")

    @task
    def never_runs():
        pass

    @task
    def killed():
        os.kill(os.getpid(), signal.SIGKILL)

    succeeds()
    skips()
    fails() >> never_runs()
    killed()

with DAG(
    dag_id="conformance_callbacks_of_success",
    schedule=None,
    start_date=START,
    default_args=CALLBACKS,
    on_failure_callback=note("run failed"),
    on_success_callback=[broken, note("run succeeded")],
):
    succeeds.override(task_id="fine")()

with DAG(
    dag_id="conformance_callbacks_of_timeout",
    schedule=None,
    start_date=START,
    dagrun_timeout=datetime.timedelta(seconds=15),
    on_failure_callback=note("run failed"),
    on_success_callback=note("run succeeded"),
):

    @task
    def sleeps():
        import time

        time.sleep(60)

    sleeps()
