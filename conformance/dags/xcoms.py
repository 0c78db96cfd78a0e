"""XCom values of every kind, large ones, odd keys, and what reading them back gives."""

from __future__ import annotations

import datetime
import decimal
import zlib

import pendulum

from airflow.sdk import DAG, task

with DAG(
    dag_id="conformance_xcoms",
    schedule=None,
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
):
    VALUES = {
        "nothing": None,
        "false": False,
        "zero": 0,
        "big_number": 2**53 + 1,
        "negative": -1,
        "real": 0.1,
        "whole_real": 3.0,
        "text": "text",
        "empty_text": "",
        "empty_list": [],
        "nested": {"a": [1, {"b": None}], "c": {"d": True}},
        "order": {"z": 1, "a": 2, "m": 3},
    }

    @task
    def give(name):
        return VALUES[name]

    given = {name: give.override(task_id=f"give_{name}")(name) for name in VALUES}

    @task
    def large():
        return "0123456789abcdef" * 65_536

    @task
    def large_again(value):
        return [len(value), zlib.crc32(value.encode())]

    large_again(large())

    @task
    def moment():
        return datetime.datetime(2026, 1, 5, 12, 30, tzinfo=datetime.timezone.utc)

    @task
    def moment_again(value):
        return [type(value).__name__, value.isoformat()]

    moment_again(moment())

    @task
    def special():
        return {
            "tuple": (1, 2),
            "set": {1},
            "decimal": decimal.Decimal("1.50"),
            "delta": datetime.timedelta(minutes=1),
            "date": datetime.date(2026, 1, 5),
            "zoned": pendulum.datetime(2026, 1, 5, tz="Europe/Berlin"),
        }

    @task
    def special_again(value):
        return {key: [type(item).__name__, str(item)] for key, item in value.items()}

    special_again(special())

    @task(multiple_outputs=True)
    def several():
        return {"left": 1, "right": [2]}

    @task
    def both(left, right):
        return [left, right]

    outputs = several()
    both(outputs["left"], outputs["right"])

    @task
    def pushes_by_hand(ti=None):
        ti.xcom_push(key="plain", value=1)
        ti.xcom_push(key="with space/and slash", value=2)
        ti.xcom_push(key="schlüssel", value=3)
        ti.xcom_push(key="plain", value="overwritten")

    @task
    def pulls_by_hand(ti=None):
        return [
            ti.xcom_pull(task_ids="pushes_by_hand", key="plain"),
            ti.xcom_pull(task_ids="pushes_by_hand", key="with space/and slash"),
            ti.xcom_pull(task_ids="pushes_by_hand", key="schlüssel"),
            ti.xcom_pull(task_ids="pushes_by_hand", key="absent"),
            ti.xcom_pull(task_ids="pushes_by_hand", key="absent", default="default"),
            ti.xcom_pull(task_ids=["give_zero", "give_text"]),
        ]

    [pushes_by_hand(), given["zero"], given["text"]] >> pulls_by_hand()

    @task
    def not_serializable():
        return object()

    not_serializable()

    @task(do_xcom_push=False)
    def keeps_it():
        return "private"

    keeps_it()
