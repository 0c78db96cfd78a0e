"""Dags that work."""

from __future__ import annotations

from airflow.sdk import Param, dag, task


@dag(schedule=None)
def bystander():
    @task
    def give() -> int:
        return 20

    @task
    def double(number: int) -> None:
        if number * 2 != 40:
            raise ValueError(number)

    double(give())


@dag(schedule=None, params={"number": Param(1, type="integer", minimum=1)})
def with_params():
    @task
    def nothing() -> None:
        pass

    nothing()


bystander()
with_params()
