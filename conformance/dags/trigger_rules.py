"""Every trigger rule against every mix of upstream outcomes."""

from __future__ import annotations

import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule, chain, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

MIXES = {
    "all_good": ["good", "good"],
    "one_bad": ["good", "bad"],
    "all_bad": ["bad", "bad"],
    "one_skip": ["good", "skip"],
    "all_skip": ["skip", "skip"],
    "bad_and_skip": ["bad", "skip"],
    "one_each": ["good", "bad", "skip"],
    "upstream_failed": ["good", "blocked"],
}

with DAG(
    dag_id="conformance_trigger_rules",
    schedule=None,
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
):

    @task
    def good():
        return "good"

    @task
    def bad():
        raise AirflowFailException("bad on purpose")

    @task
    def skip():
        raise AirflowSkipException("skipped on purpose")

    # One after the other: a rule that cannot come true any more decides at once, so what it
    # says depends on which of its upstream tasks ended first.
    sources = {"good": good(), "bad": bad(), "skip": skip.override(trigger_rule=TriggerRule.ALL_DONE)()}
    # A second good, bad and skipped task, so that a rule sees two of a kind.
    others = {
        "good": good.override(task_id="good_2")(),
        "bad": bad.override(task_id="bad_2", trigger_rule=TriggerRule.ALL_DONE)(),
        "skip": skip.override(task_id="skip_2", trigger_rule=TriggerRule.ALL_DONE)(),
    }
    chain(*(task for kind in sources for task in (sources[kind], others[kind])))
    sources["blocked"] = EmptyOperator(task_id="blocked")
    sources["bad"] >> sources["blocked"]

    for mix, kinds in MIXES.items():
        upstream = []
        for kind in kinds:
            upstream.append(others[kind] if sources[kind] in upstream else sources[kind])
        for rule in TriggerRule:
            if rule == TriggerRule.ALWAYS or rule.value == "all_done_min_one_success":
                continue
            upstream >> EmptyOperator(task_id=f"{mix}.{rule.value}", trigger_rule=rule)
        upstream >> EmptyOperator(
            task_id=f"{mix}.all_done_min_one_success", trigger_rule="all_done_min_one_success"
        )

    EmptyOperator(task_id="always", trigger_rule=TriggerRule.ALWAYS) << sources["bad"]
