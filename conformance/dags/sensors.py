"""Sensors that reschedule, poke, time out, and time out softly.

Those that reschedule wait six seconds between two pokes: with less, real Airflow now and then takes
the end of one poke for the failure of the next.
"""

from __future__ import annotations

import datetime
import pathlib

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import DAG, PokeReturnValue, task


STATE = pathlib.Path(__file__).parent.parent / "sensors"


def third_poke(name):
    """Counts the pokes in a file: a rescheduled sensor is a new process every time."""
    STATE.mkdir(exist_ok=True)
    with (STATE / name).open("a+") as pokes:
        pokes.write(".")
        return pokes.tell() == 3


with DAG(
    dag_id="conformance_sensors",
    schedule=None,
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
):
    reschedules = PythonSensor(
        task_id="reschedules",
        mode="reschedule",
        poke_interval=6,
        python_callable=third_poke,
        op_args=["reschedules"],
    )
    reschedules >> EmptyOperator(task_id="after_reschedules")
    PythonSensor(
        task_id="pokes",
        poke_interval=0.2,
        python_callable=third_poke,
        op_args=["pokes"],
    )
    times_out = PythonSensor(
        task_id="times_out", mode="reschedule", poke_interval=6, timeout=3, python_callable=lambda: False
    )
    times_out >> EmptyOperator(task_id="after_times_out")
    times_out_softly = PythonSensor(
        task_id="times_out_softly",
        mode="reschedule",
        poke_interval=6,
        timeout=3,
        soft_fail=True,
        python_callable=lambda: False,
    )
    times_out_softly >> EmptyOperator(task_id="after_times_out_softly")
    # A sensor that timed out is not retried, whatever its retries say.
    PythonSensor(
        task_id="times_out_with_retries",
        poke_interval=0.2,
        timeout=1,
        retries=2,
        retry_delay=datetime.timedelta(milliseconds=200),
        python_callable=lambda: False,
    )

    @task.sensor(poke_interval=6, mode="reschedule", timeout=60)
    def returns_a_value() -> PokeReturnValue:
        return PokeReturnValue(is_done=True, xcom_value={"found": 1})

    @task.sensor(poke_interval=1, timeout=60)
    def raises():
        raise ValueError("fails on purpose")

    returns_a_value()
    raises()
