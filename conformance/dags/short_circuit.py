"""Short circuits with and without respect for downstream trigger rules."""

from __future__ import annotations

import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule, task

with DAG(
    dag_id="conformance_short_circuit",
    schedule=None,
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
):

    @task.short_circuit
    def gate(value):
        return value

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def soft_gate(value):
        return value

    for name, value in {"true": True, "false": False, "empty": [], "text": "go"}.items():
        chain_start = gate.override(task_id=f"gate_{name}")(value)
        last = EmptyOperator(task_id=f"{name}_last", trigger_rule=TriggerRule.ALL_DONE)
        chain_start >> EmptyOperator(task_id=f"{name}_next") >> last

        soft = soft_gate.override(task_id=f"soft_gate_{name}")(value)
        soft_last = EmptyOperator(task_id=f"soft_{name}_last", trigger_rule=TriggerRule.ALL_DONE)
        soft >> EmptyOperator(task_id=f"soft_{name}_next") >> soft_last
