"""Dynamic task mapping: literal, fed by XCom, zipped, as kwargs, in groups, empty, failing."""

from __future__ import annotations

import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, TriggerRule, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


@task
def numbers(count):
    return list(range(count))


@task
def double(x):
    return x * 2


@task
def add(x, y):
    return x + y


@task
def total(values):
    return sum(values)


with DAG(dag_id="conformance_mapping_literal", schedule=None, start_date=START):
    total(double.expand(x=[1, 2, 3]))
    add.partial(x=10).override(task_id="add_partial").expand(y=[1, 2])
    add.override(task_id="add_cross").expand(x=[1, 2], y=[10, 20, 30])
    add.override(task_id="add_kwargs").expand_kwargs([{"x": 1, "y": 2}, {"x": 3, "y": 4}])
    BashOperator.partial(task_id="bash").expand(bash_command=["echo one", "exit 99", "echo three"])

with DAG(dag_id="conformance_mapping_xcom", schedule=None, start_date=START):

    @task
    def pairs():
        return [{"x": 1, "y": 10}, {"x": 2, "y": 20}]

    @task
    def table():
        return {"first": 1, "second": 2}

    @task
    def entry(item):
        return list(item)

    fed = numbers(4)
    total(double.expand(x=fed))
    add.override(task_id="add_kwargs").expand_kwargs(pairs())
    add.override(task_id="add_zip").expand_kwargs(
        fed.zip(fed).map(lambda pair: {"x": pair[0], "y": pair[1]})
    )
    entry.expand(item=table())
    double.override(task_id="double_mapped").expand(x=fed.map(lambda x: x + 100))
    double.override(task_id="double_concat").expand(x=fed.concat(numbers.override(task_id="more")(2)))

with DAG(dag_id="conformance_mapping_empty", schedule=None, start_date=START):
    nothing = double.expand(x=numbers(0))
    total(nothing)
    total.override(task_id="total_anyway", trigger_rule=TriggerRule.ALL_DONE)(nothing)
    double.override(task_id="literal_nothing").expand(x=[])

with DAG(dag_id="conformance_mapping_failing", schedule=None, start_date=START):

    @task(retries=1, retry_delay=datetime.timedelta(milliseconds=200))
    def picky(x, ti=None):
        if x == 1:
            raise ValueError("one fails on purpose, every time")
        if x == 2 and ti.try_number == 1:
            raise ValueError("two fails on purpose, the first time")
        if x == 3:
            raise AirflowSkipException("three is skipped on purpose")
        return x

    picked = picky.expand(x=numbers(5))

    @task
    def collect(values):
        return [value for value in values if value is not None]

    collect(picked)
    collect.override(task_id="collect_anyway", trigger_rule=TriggerRule.ALL_DONE)(picked)
    # Only those instances run again whose own upstream instance ran.
    double.override(task_id="double_picked").expand(x=picked)

with DAG(dag_id="conformance_mapping_too_many_kinds", schedule=None, start_date=START):

    @task
    def not_a_list():
        return 42

    double.expand(x=not_a_list())

with DAG(dag_id="conformance_mapping_groups", schedule=None, start_date=START):

    @task
    def fail_on_one(x):
        if x == 1:
            raise ValueError("fails on purpose")
        return x

    @task_group
    def stage(x):
        checked = fail_on_one(x)
        return double(checked)

    staged = stage.expand(x=numbers(3))
    total.override(trigger_rule=TriggerRule.ALL_DONE)(staged)

    @task_group
    def inner_mapping(x):
        @task
        def spread(x):
            return [x, x + 1]

        return double.override(task_id="inner_double").expand(x=spread(x))

    inner_mapping(5)

with DAG(
    dag_id="conformance_mapping_names",
    schedule=None,
    start_date=START,
):

    @task(map_index_template="{{ label }}")
    def named(x):
        from airflow.sdk import get_current_context

        get_current_context()["label"] = f"number {x}"
        return x

    named.expand(x=[7, 8])
    BashOperator.partial(
        task_id="named_by_template", map_index_template="{{ task.bash_command }}"
    ).expand(bash_command=["echo a", "echo b"])
