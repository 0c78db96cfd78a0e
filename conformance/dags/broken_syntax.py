"""Is not Python: airflow.sdk DAG."""

def half_a_function(
