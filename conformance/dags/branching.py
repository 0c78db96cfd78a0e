"""Branches: one way, several ways, none, into a task group, around a join."""

from __future__ import annotations

import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TaskGroup, TriggerRule, task

with DAG(
    dag_id="conformance_branching",
    schedule=None,
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
):

    @task.branch
    def choose(chosen):
        return chosen

    def ways(prefix):
        return [EmptyOperator(task_id=f"{prefix}_{name}") for name in "abc"]

    one = choose.override(task_id="choose_one")("one_b")
    join_one = EmptyOperator(task_id="join_one", trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    one >> ways("one") >> join_one

    two = choose.override(task_id="choose_two")(["two_a", "two_c"])
    join_two = EmptyOperator(task_id="join_two")
    two >> ways("two") >> join_two

    none = choose.override(task_id="choose_none")(None)
    join_none = EmptyOperator(task_id="join_none", trigger_rule=TriggerRule.ALL_DONE)
    none >> ways("none") >> join_none

    group_choice = choose.override(task_id="choose_group")("group")
    with TaskGroup("group") as group:
        EmptyOperator(task_id="first") >> EmptyOperator(task_id="second")
    with TaskGroup("other_group") as other_group:
        EmptyOperator(task_id="first") >> EmptyOperator(task_id="second")
    group_choice >> [group, other_group]

    # The join is both a direct way and downstream of the other way: it must not be skipped.
    direct = choose.override(task_id="choose_direct")("direct_join")
    direct_join = EmptyOperator(task_id="direct_join", trigger_rule=TriggerRule.NONE_FAILED)
    direct >> [EmptyOperator(task_id="direct_detour"), direct_join]
    direct_join << EmptyOperator(task_id="direct_second") << direct

    unknown = choose.override(task_id="choose_unknown")("no_such_task")
    unknown >> EmptyOperator(task_id="after_unknown")
