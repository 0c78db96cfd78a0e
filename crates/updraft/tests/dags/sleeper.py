"""Tasks whose first try never ends by itself."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from airflow.sdk import dag, task


def is_first_try(name: str) -> bool:
    seen = Path(os.environ["AIRFLOW_HOME"]) / f"{name}.seen"
    try:
        seen.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@dag(schedule=None)
def sleeper():
    @task
    def sleep() -> None:
        if is_first_try("sleep"):
            time.sleep(600)

    @task
    def after() -> None:
        pass

    sleep() >> after()


@dag(schedule=None)
def stubborn():
    @task
    def ignore_signals() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        if is_first_try("ignore_signals"):
            time.sleep(600)

    ignore_signals()


sleeper()
stubborn()
