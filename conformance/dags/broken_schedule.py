"""Its schedule is no cron expression."""

from airflow.sdk import DAG

with DAG(dag_id="conformance_broken_schedule", schedule="every full moon"):
    pass
