"""Text outside ASCII in ids, values, templates and output, and characters that break protocols."""

from __future__ import annotations

import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, task

with DAG(
    dag_id="conformance_unicode-ünï.çødé",
    dag_display_name="Ünïçødé 🐦 \"quoted\" <b>",
    description="Zeile eins\nZeile zwei\t\u2028ende",
    tags=["conformance", "ümlaut"],
    schedule=None,
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    params={"wörd": "größe"},
):

    @task(task_id="größe-日本語")
    def speaks():
        return "naïve 日本語 🐦 \u202eright to left\u202c \x01\x7f"

    @task
    def hears(said, params=None):
        print("a\rb\nc\x1b[31mred\x1b[0m \ud83d".encode("utf-8", "replace"))
        return [len(said), params["wörd"]]

    hears(speaks())
    BashOperator(task_id="bash", bash_command="printf 'grün 日本 \\xff\\xfe end\\n'")
    BashOperator(task_id="quotes", bash_command="""echo "it's \\"quoted\\" {{ params['wörd'] }} \\$HOME" """)

    @task
    def lone_surrogate():
        return "\ud83d"

    lone_surrogate()
