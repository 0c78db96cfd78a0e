"""Retries with tiny delays: enough tries, too few, forbidden ones, and with backoff."""

from __future__ import annotations

import datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

TINY = datetime.timedelta(milliseconds=200)

with DAG(
    dag_id="conformance_retries",
    schedule=None,
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    default_args={"retry_delay": TINY},
):

    @task(retries=2)
    def third_time_lucky(ti=None):
        if ti.try_number < 3:
            raise ValueError(f"try {ti.try_number} fails on purpose")
        return ti.try_number

    @task(retries=1)
    def never_lucky():
        raise ValueError("fails on purpose")

    @task(retries=5)
    def gives_up_at_once():
        raise AirflowFailException("more tries would not help")

    @task(retries=5)
    def skips_on_second_try(ti=None):
        if ti.try_number == 2:
            raise AirflowSkipException("enough")
        raise ValueError("fails on purpose")

    @task(retries=2, retry_exponential_backoff=True, max_retry_delay=datetime.timedelta(seconds=1))
    def backs_off(ti=None):
        if ti.try_number < 3:
            raise ValueError("fails on purpose")

    @task(retries=1)
    def leaves_an_xcom_behind(ti=None):
        ti.xcom_push(key="tried", value=ti.try_number)
        if ti.try_number == 1:
            raise ValueError("fails on purpose")

    bash = BashOperator(
        task_id="bash_by_try_number", bash_command="exit {{ 0 if ti.try_number == 2 else 7 }}", retries=1
    )
    unlucky = never_lucky()
    third_time_lucky() >> EmptyOperator(task_id="after_luck")
    unlucky >> EmptyOperator(task_id="after_bad_luck")
    unlucky >> EmptyOperator(task_id="anyway", trigger_rule=TriggerRule.ALL_DONE)
    gives_up_at_once()
    skips_on_second_try()
    backs_off()
    leaves_an_xcom_behind()
