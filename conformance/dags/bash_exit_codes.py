"""Exit codes and output of BashOperator."""

from __future__ import annotations

import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, task

with DAG(
    dag_id="conformance_bash_exit_codes",
    schedule=None,
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
):
    for code in [0, 1, 2, 98, 99, 100, 127, 255]:
        bash = BashOperator(task_id=f"exit_{code}", bash_command=f"echo code {code}; exit {code}")
        bash >> EmptyOperator(task_id=f"after_{code}")
    BashOperator(task_id="skip_on_list", bash_command="exit 5", skip_on_exit_code=[4, 5])
    BashOperator(task_id="skip_on_nothing", bash_command="exit 99", skip_on_exit_code=None)
    BashOperator(task_id="last_line_wins", bash_command="echo first; echo last")
    BashOperator(task_id="no_output", bash_command="true")
    BashOperator(task_id="stderr_counts", bash_command="echo out; echo err >&2")
    BashOperator(task_id="no_push", bash_command="echo quiet", do_xcom_push=False)
    BashOperator(task_id="killed_shell", bash_command="kill -9 $$")
    BashOperator(task_id="unknown_command", bash_command="no-such-command-anywhere")
    BashOperator(task_id="environment", bash_command='echo "$COLOUR $LATE"', env={"COLOUR": "blue", "LATE": "{{ ds }}"})
    BashOperator(
        task_id="appended_environment",
        bash_command='test -n "$PATH" && echo "$COLOUR"',
        env={"COLOUR": "green"},
        append_env=True,
    )
    BashOperator(task_id="json_output", bash_command="echo '{\"a\": [1, 2]}'", output_processor=lambda text: text[::-1])

    @task.bash
    def decorated():
        return "echo decorated"

    decorated()
