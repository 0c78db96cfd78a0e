"""Tasks that write nonsense where only the task runner may write: into the socket on fd 0."""

from __future__ import annotations

import os
import time
from datetime import timedelta

from airflow.sdk import dag, get_current_context, task


def send(garbage: bytes) -> None:
    os.write(0, garbage)
    # No task ends so late by itself: it is stopped.
    time.sleep(60)


@dag(schedule=None)
def garbage():
    @task
    def endless_frame() -> None:
        send(b"\xff" * 64)

    @task
    def not_msgpack() -> None:
        send(b"\x00\x00\x00\x04\xc1\xc1\xc1\xc1")

    @task
    def unknown_message() -> None:
        # [7, {"type": "Nonsense"}, null]
        body = b"\x93\x07\x81\xa4type\xa8Nonsense\xc0"
        os.write(0, len(body).to_bytes(4, "big") + body)

    @task
    def half_a_frame() -> None:
        os.write(0, b"\x00\x00\x10\x00half")
        os._exit(0)

    @task(retries=1, retry_delay=timedelta(0))
    def mended_by_retry() -> None:
        if get_current_context()["ti"].try_number == 1:
            send(b"\xff" * 64)

    endless_frame()
    not_msgpack()
    unknown_message()
    half_a_frame()
    mended_by_retry()


garbage()
