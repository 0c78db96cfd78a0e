import datetime

from airflow.sdk import DAG, task
from clocks import Hangs, Names

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)

for dag_id, schedule, catchup in [
    ("hangs", Hangs(), True),
    ("names", Names("each"), True),
    ("often", datetime.timedelta(seconds=1), False),
]:
    with DAG(dag_id, schedule=schedule, start_date=START, catchup=catchup, max_active_runs=100):

        @task
        def nothing():
            pass

        nothing()
