"""Tasks that fail, what their retry policies make of it, and who is told."""
from __future__ import annotations

import json
import pathlib
from datetime import timedelta

from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction, RetryDecision, RetryPolicy, RetryRule
from airflow.sdk import task
from airflow.sdk.bases.notifier import BaseNotifier

HOME = pathlib.Path(__file__).parent.parent
LONG = timedelta(hours=1)

POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=PermissionError, action=RetryAction.FAIL, reason="not ours to open"),
        RetryRule(exception=ConnectionError, retry_delay=timedelta(0), reason="try again at once"),
    ]
)


class Broken(RetryPolicy):
    def evaluate(self, exception, try_number, max_tries, context=None):
        raise RuntimeError("the policy itself is broken")


class Patient(RetryPolicy):
    """Asks for more tries than there are."""

    def evaluate(self, exception, try_number, max_tries, context=None):
        return RetryDecision.retry(delay=timedelta(0), reason=f"try {try_number} of {max_tries}")


class Tell(BaseNotifier):
    template_fields = ("message",)

    def __init__(self, message):
        super().__init__()
        self.message = message

    def notify(self, context):
        with open(HOME / "told", "a") as file:
            file.write(json.dumps(self.message) + "\n")


class Unable(BaseNotifier):
    def notify(self, context):
        raise ValueError("nobody answers the telephone")


with DAG("policies", schedule=None, default_args={"retries": 3, "retry_delay": LONG}):

    @task(retry_policy=POLICY)
    def forbidden():
        raise PermissionError("no")

    @task(retry_policy=POLICY)
    def flaky(ti=None):
        if ti.try_number == 1:
            raise ConnectionResetError("gone")

    @task(retry_policy=Patient(), retries=2)
    def hopeless():
        raise ValueError("never")

    @task(retry_policy=Broken(), retry_delay=timedelta(0), retries=1)
    def unlucky():
        raise ValueError("never")

    forbidden(), flaky(), hopeless(), unlucky()


with DAG(
    "telling",
    schedule=None,
    on_failure_callback=[Unable(), Tell("{{ dag_run.dag_id }}: {{ reason }}")],
):

    @task(
        retries=1,
        retry_delay=timedelta(0),
        on_execute_callback=Tell("{{ ti.task_id }} starts"),
        on_retry_callback=Tell("{{ ti.task_id }} tries again"),
        on_failure_callback=[Unable(), Tell("{{ ti.task_id }} failed")],
    )
    def fails():
        raise ValueError("never")

    @task(on_success_callback=Tell("{{ ti.task_id }} is done"))
    def works():
        return 1

    fails(), works()


with DAG("relieved", schedule=None, on_success_callback=Tell("{{ dag_run.dag_id }}: {{ reason }}")):

    @task
    def works_too():
        return 1

    works_too()
