import datetime

from airflow.sdk import DAG, Asset, task
from airflow.sdk.exceptions import AirflowSkipException

for dag_id in ["quiet", "deafening"]:
    with DAG(dag_id, schedule=None):

        @task(outlets=[Asset("noise")])
        def make():
            pass

        make()

with DAG("endings", schedule=None):

    @task
    def fails():
        raise ValueError("no use")

    @task
    def skips():
        raise AirflowSkipException("not today")

    fails()
    skips()

with DAG("waits", schedule=None):

    @task
    def wait():
        import time

        time.sleep(3600)

    wait()

with DAG(
    "often",
    schedule=datetime.timedelta(seconds=1),
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    catchup=False,
    max_active_runs=100,
):

    @task
    def nothing():
        pass

    nothing()
