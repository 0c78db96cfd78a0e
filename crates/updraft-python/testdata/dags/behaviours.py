"""One task for each way in which a child can behave."""

from __future__ import annotations

import os
import signal
import subprocess
import time

from airflow.sdk import dag, task


@dag(schedule=None)
def behaviours():
    @task
    def add(left, right):
        print(f"{left} plus {right}")
        return left + right

    @task
    def environment():
        return {name: os.environ.get(name) for name in ("FROM_SPAWN", "AIRFLOW__CORE__FERNET_KEY")}

    @task
    def process():
        with open("/proc/self/oom_score_adj") as file:
            return {"group": os.getpgid(0), "pid": os.getpid(), "oom_score_adj": int(file.read())}

    @task
    def die(number):
        os.kill(os.getpid(), number)

    @task
    def leave(code):
        os._exit(code)

    @task
    def shell_in_own_session():
        shell = subprocess.Popen(["sh", "-c", "sleep 600; true"], start_new_session=True)
        print(f"shell {shell.pid}")
        shell.wait()

    @task
    def sleep_until_told(path):
        print("sleeping")
        while not os.path.exists(path):
            time.sleep(0.01)

    add(1, 2)
    environment()
    process()
    die(int(signal.SIGKILL))
    leave(7)
    shell_in_own_session()
    sleep_until_told(os.environ.get("RELEASE_FILE", "/nonexistent"))


behaviours()
