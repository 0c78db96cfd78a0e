"""Cannot be imported: the engines must agree that it cannot."""

from airflow.sdk import DAG
from no_such_package import anything  # noqa: F401

dag = DAG(dag_id="conformance_broken_import", schedule=None)
