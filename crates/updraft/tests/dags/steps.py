"""A few steps that take a while, so that something can happen meanwhile."""

from __future__ import annotations

import time

from airflow.sdk import dag, task


@dag(schedule=None)
def steps():
    @task
    def step(before: int) -> int:
        time.sleep(0.5)
        return before + 1

    number = 0
    for _ in range(4):
        number = step(number)


steps()
