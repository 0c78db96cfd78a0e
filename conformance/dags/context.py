"""What a task sees: context, templates, variables, params, conf."""

from __future__ import annotations

import datetime

from airflow.sdk import DAG, Param, Variable, task
from airflow.providers.standard.operators.bash import BashOperator

with DAG(
    dag_id="conformance_context",
    schedule="0 6 * * 1-5",
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    catchup=False,
    params={"number": Param(3, type="integer", minimum=1), "word": "default"},
    user_defined_macros={"shout": lambda text: text.upper() + "!"},
    user_defined_filters={"twice": lambda text: text * 2},
    render_template_as_native_obj=False,
    tags=["conformance"],
):

    @task
    def dates(**context):
        names = ["ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "run_id", "task_instance_key_str"]
        moments = ["logical_date", "data_interval_start", "data_interval_end", "prev_data_interval_start_success"]
        values = {name: context[name] for name in names}
        values.update({name: str(context.get(name)) for name in moments})
        return values

    @task
    def names(ti=None, dag=None, dag_run=None, task=None):
        return [dag.dag_id, dag_run.run_type, ti.task_id, ti.map_index, ti.try_number, task.trigger_rule, dag_run.conf]

    @task
    def params_seen(params=None):
        return dict(params)

    @task
    def variables():
        return [
            Variable.get("conformance_text"),
            Variable.get("conformance_json", deserialize_json=True),
            Variable.get("conformance_absent", default="absent"),
        ]

    @task
    def absent_variable():
        return Variable.get("conformance_absent")

    @task
    def sets_a_variable():
        Variable.set("conformance_set_by_task", {"a": 1}, serialize_json=True)
        return Variable.get("conformance_set_by_task", deserialize_json=True)

    dates()
    names()
    params_seen()
    variables()
    absent_variable()
    sets_a_variable()
    BashOperator(
        task_id="templates",
        bash_command="echo '{{ ds }} {{ macros.ds_add(ds, 3) }} {{ params.number }} {{ shout(params.word) }} "
        "{{ \"ab\" | twice }} {{ var.value.conformance_text }} {{ var.json.conformance_json.a }} {{ dag_run.conf }}'",
    )
    BashOperator(task_id="broken_template", bash_command="echo {{ no_such_name.attribute }}")
    BashOperator(task_id="unclosed_template", bash_command="echo {% if %}")
