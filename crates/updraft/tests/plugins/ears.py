"""Listeners: one that raises, one that hangs, one that writes down what it hears."""

import os
import time

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin


def note(*words):
    with open(os.path.join(os.environ["AIRFLOW_HOME"], "heard"), "a") as file:
        print(*words, file=file)


class Hears:
    @hookimpl
    def on_dag_run_running(self, dag_run, msg):
        note(dag_run.dag_id, dag_run.run_id, "running", dag_run.dag.dag_id, dag_run.conf)

    @hookimpl
    def on_dag_run_success(self, dag_run, msg):
        instances = sorted((ti.task_id, str(ti.state)) for ti in dag_run.get_task_instances())
        note(dag_run.dag_id, dag_run.run_id, "success", instances)

    @hookimpl
    def on_dag_run_failed(self, dag_run, msg):
        note(dag_run.dag_id, dag_run.run_id, "failed")

    @hookimpl
    def on_task_instance_running(self, previous_state, task_instance):
        note(task_instance.dag_id, task_instance.task_id, "task running")

    @hookimpl
    def on_task_instance_success(self, previous_state, task_instance):
        note(task_instance.dag_id, task_instance.task_id, "task success")

    @hookimpl
    def on_task_instance_skipped(self, previous_state, task_instance):
        note(task_instance.dag_id, task_instance.task_id, "task skipped")

    @hookimpl
    def on_task_instance_failed(self, previous_state, task_instance, error):
        note(task_instance.dag_id, task_instance.task_id, "task failed", error)

    @hookimpl
    def on_asset_created(self, asset):
        note("asset created", asset.name)

    @hookimpl
    def on_asset_changed(self, asset):
        note("asset changed", asset.name)

    @hookimpl
    def on_asset_event_emitted(self, asset_event):
        note("asset event", asset_event.asset.name, asset_event.source_task_id)

    @hookimpl
    def on_new_dag_import_error(self, filename, stacktrace):
        note("new import error", os.path.basename(filename), stacktrace.strip().splitlines()[-1])

    @hookimpl
    def on_existing_dag_import_error(self, filename, stacktrace):
        note("old import error", os.path.basename(filename))

    @hookimpl
    def on_starting(self, component):
        note("starting", type(component).__name__)

    @hookimpl
    def before_stopping(self, component):
        note("stopping", type(component).__name__)


class Raises:
    @hookimpl
    def on_dag_run_success(self, dag_run, msg):
        raise ValueError("heard too much")


class Hangs:
    @hookimpl
    def on_dag_run_success(self, dag_run, msg):
        if dag_run.dag_id == "deafening":
            time.sleep(3600)


class Ears(AirflowPlugin):
    name = "ears"
    # The last one is called first.
    listeners = [Hangs(), Hears(), Raises()]
