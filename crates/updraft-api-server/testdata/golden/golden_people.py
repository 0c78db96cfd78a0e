"""A Dag that asks people, whose HTTP answers are recorded."""
from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator, HITLEntryOperator, HITLOperator
from airflow.sdk import DAG, Param

with DAG("asks", schedule=None, tags=["people"], default_args={"owner": "ann"}) as asks:
    ApprovalOperator(
        task_id="approve",
        subject="Approve {{ dag_run.run_id }}?",
        body="**Read** it first.",
        defaults="Reject",
        response_timeout=timedelta(days=300),
        assigned_users=[{"id": "opal", "name": "opal"}, {"id": "admin", "name": "admin"}],
    )
    HITLOperator(task_id="choose", subject="Choose one", options=["it's", "north", "south"])
    HITLOperator(task_id="several", subject="Choose some", options=["a", "b", "c"], multiple=True, defaults=["a", "c"])
    HITLEntryOperator(
        task_id="enter",
        subject="Fill in",
        params={"count": Param(3, type="integer", minimum=1, description="how many"), "name": "plain"},
    )
    HITLEntryOperator(
        task_id="in_time",
        subject="Too late for you",
        params={"count": Param(3, type="integer")},
        response_timeout=timedelta(seconds=1),
    )
    EmptyOperator(task_id="silent")
