"""Builds a Dag and drops it: a Dag that no variable of the module holds does not exist."""

from airflow.sdk import DAG

DAG(dag_id="conformance_unassigned", schedule=None)
