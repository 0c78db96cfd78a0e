"""Tasks that wait without a worker."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.sdk import DAG, task
from waiting import Begins, Does, Waits

SOON = timedelta(seconds=1)


class WaitsTwice(Waits):
    def go_on(self, context, kept, event):
        self.defer(trigger=Does("twice", "again"), method_name="finish", kwargs={"first": event})

    def finish(self, context, first, event):
        return [first, event]


with DAG("deferring", schedule=None):

    @task
    def hears(said):
        return said

    hears(Waits(task_id="echo", what="echo").output)
    WaitsTwice(task_id="twice", what="echo")
    Waits.partial(task_id="mapped").expand(what=["echo", "twice"])
    TimeDeltaSensor(task_id="sensor", delta=SOON, deferrable=True)

with DAG("beginning", schedule=None):
    Begins(task_id="begins", what="echo", name="{{ run_id }}")

with DAG("failing", schedule=None):
    Waits(task_id="times_out", what="never", limit=SOON)
    Waits(task_id="raises", what="raises")
    Waits(task_id="ends", what="ends")
    Waits(task_id="exits", what="exits")
    Waits(task_id="unloadable", what="unloadable")

with DAG("ending", schedule=None, default_args={"retries": 1, "retry_delay": SOON}):
    Waits(task_id="succeeds", what="succeeds")
    Waits(task_id="fails", what="fails")
    Waits(task_id="skips", what="skips")

with DAG("talking", schedule=None):
    Waits(task_id="talks", what="talks")

with DAG("waiting_for_a_sign", schedule=None):
    Waits(task_id="one", what="sign")
    Waits(task_id="two", what="sign")

with DAG("waiting_for_ever", schedule=None):
    Waits(task_id="one", what="never")
    Waits(task_id="two", what="never")
