"""Policies of an installation, each of which leaves a trace."""

import os

from airflow.exceptions import AirflowClusterPolicyViolation
from airflow.exceptions import AirflowClusterPolicySkipDag


def task_policy(task):
    if task.task_id == "forbidden":
        raise AirflowClusterPolicyViolation("no task may be called that")
    if task.task_id == "patient":
        task.queue = "by_policy"


def dag_policy(dag):
    if dag.dag_id == "unowned":
        raise AirflowClusterPolicyViolation("a Dag needs an owner")
    if dag.dag_id == "skipped":
        raise AirflowClusterPolicySkipDag("not here")
    dag.tags = {*dag.tags, "seen"}


def task_instance_mutation_hook(task_instance, dag_run=None):
    if os.path.exists(os.path.join(os.environ["AIRFLOW_HOME"], "hook_raises")):
        raise RuntimeError("no word from the hook")
    if task_instance.task_id == "routed":
        conf = (dag_run.conf or {}) if dag_run else {}
        task_instance.queue = conf.get("queue", "by_hook")
        task_instance.priority_weight = 70 + (task_instance.try_number or 0)
    if task_instance.task_id == "mapped" and task_instance.map_index >= 0:
        task_instance.queue = f"shard_{task_instance.map_index}"


def get_airflow_context_vars(context):
    return {"said_by_policy": context["dag"].dag_id}


def get_dagbag_import_timeout(path):
    return 2.0 if path.endswith("slow.py") else 60.0
