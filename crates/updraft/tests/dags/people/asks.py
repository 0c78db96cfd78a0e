"""Tasks that wait for people."""
from __future__ import annotations

import pathlib
import time
from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import (
    ApprovalOperator,
    HITLBranchOperator,
    HITLEntryOperator,
    HITLOperator,
)
from airflow.sdk import DAG, Param, task
from airflow.sdk.bases.notifier import BaseNotifier

HOME = pathlib.Path(__file__).parent.parent


class Knock(BaseNotifier):
    """Says that the question is put, and holds the task up until somebody has answered."""

    template_fields = ("message",)

    def __init__(self, message):
        self.message = message

    def notify(self, context):
        url = HITLOperator.generate_link_to_ui_from_context(context=context, base_url="http://here:1")
        (HOME / "knocked").write_text(f"{self.message}\n{url}\n")
        while not (HOME / "answered").exists():
            time.sleep(0.02)


with DAG("asks", schedule=None) as asks:
    approve = ApprovalOperator(
        task_id="approve",
        subject="Approve {{ dag_run.run_id }}?",
        assigned_users=[{"id": "admin", "name": "admin"}],
    )
    reject = ApprovalOperator(task_id="reject", subject="Really?")
    branch = HITLBranchOperator(task_id="branch", subject="Where to?", options=["go_left", "Right"], options_mapping={"Right": "go_right"})
    enter = HITLEntryOperator(
        task_id="enter", subject="How many?", params={"count": Param(3, type="integer", minimum=1)}
    )

    @task
    def counted(answer):
        return answer["params_input"]["count"] * 2

    approve >> EmptyOperator(task_id="approved")
    reject >> EmptyOperator(task_id="rejected")
    branch >> [EmptyOperator(task_id="go_left"), EmptyOperator(task_id="go_right")]
    counted(enter.output)

with DAG("times_out", schedule=None) as times_out:
    HITLOperator(
        task_id="with_defaults", subject="?", options=["a", "b"], defaults=["b"], response_timeout=timedelta(seconds=1)
    )
    HITLOperator(task_id="without", subject="?", options=["a", "b"], response_timeout=timedelta(seconds=1))

with DAG("quick", schedule=None) as quick:
    HITLOperator(task_id="ask", subject="Now?", options=["yes"], notifiers=[Knock("{{ task.subject }}")])

with DAG("patient", schedule=None) as patient:
    HITLOperator(
        task_id="ask", subject="?", options=["a"], defaults=["a"], response_timeout=timedelta(seconds=4)
    )
    HITLOperator(task_id="open", subject="?", options=["a"])

with DAG("crowd", schedule=None) as crowd:
    HITLOperator.partial(task_id="ask", options=["a"], max_active_tis_per_dag=2).expand(subject=["1", "2", "3"])
    # Mapped params would be checked per instance.
    EmptyOperator(task_id="beside") >> task(lambda: "ran", task_id="works")()
