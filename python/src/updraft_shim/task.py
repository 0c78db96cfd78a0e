"""The child that runs one try of a task instance: Airflow's task runner, as it is."""

from __future__ import annotations


def run() -> None:
    """Run the task that the first frame on descriptor 0 describes."""
    from airflow.sdk.execution_time import supervisor

    supervisor._subprocess_main()
