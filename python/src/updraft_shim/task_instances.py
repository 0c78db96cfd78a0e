"""Settles new and cleared task instances: weight rules and the mutation hook of the cluster."""

from __future__ import annotations

import copy
import functools
from typing import Any
from uuid import UUID

from updraft_shim import rows
from updraft_shim.helper import Body, raised


def settle(question: Body) -> Body:
    """Say what becomes of the fields of some task instances of one run."""
    from airflow import settings

    try:
        dag = rows.dag(question["dag"])
    except rows.DagWantedError:
        return {"dag_wanted": True}
    run = rows.dag_run(question["dag_run"])
    run.dag = dag
    has_hook = not getattr(settings.task_instance_mutation_hook, "is_noop", False)
    settled = [_settle(dag, run, each, has_hook) for each in question["task_instances"]]
    return {"dag_wanted": False, "task_instances": settled}


class _GuardedRule:
    """A weight rule that may fail: who goes first must not keep all from going."""

    def __init__(self, task: Any) -> None:
        self._task = task
        self.raised: Body | None = None

    def get_weight(self, ti: Any) -> int:
        """Return the weight, or that of the task alone when there is no rule, or it raises."""
        by = "weight_rule"
        try:
            rule = self._task.weight_rule
            by = f"{type(rule).__module__}.{type(rule).__qualname__}"
            return int(rule.get_weight(ti))
        except Exception as error:
            self.raised = {**raised(error), "by": by, "doing": "get_weight"}
            return int(ti.task.priority_weight)


def _guarded(task: Any) -> tuple[Any, _GuardedRule]:
    """Copy a task with a guard around its weight rule, which is a property of its class."""
    guarded, rule = copy.copy(task), _GuardedRule(task)
    kind: Any = type(task)
    guarded.__class__ = _guarded_class(kind)
    vars(guarded)["_updraft_rule"] = rule
    return guarded, rule


@functools.cache
def _guarded_class(kind: Any) -> Any:
    fields = {"__slots__": (), "weight_rule": property(lambda task: vars(task)["_updraft_rule"])}
    return type(kind)(kind.__name__, (kind,), {**fields, "__module__": kind.__module__})


def _settle(dag: Any, run: Any, asked: Body, has_hook: bool) -> Body:
    try:
        task, rule = _guarded(dag.get_task(asked["task_id"]))
        ti = _task_instance(task, run, asked, has_hook)
        return {
            "id": asked["id"],
            "pool": _string("pool", ti.pool),
            "pool_slots": int(ti.pool_slots),
            "queue": _string("queue", ti.queue),
            "priority_weight": int(ti.priority_weight),
            "executor": ti.executor and _string("executor", ti.executor),
            "executor_config": _changed_config(ti),
            "max_tries": int(ti.max_tries),
            "weight_raised": rule.raised,
            "raised": None,
        }
    except Exception as error:
        return {"id": asked["id"], "raised": raised(error)}


def _task_instance(task: Any, run: Any, asked: Body, has_hook: bool) -> Any:
    """Go through the steps of Airflow's scheduler for one task instance."""
    from airflow import settings
    from airflow.models.taskinstance import TaskInstance

    # Asks the weight rule and, as in Airflow without a run, the hook.
    ti = TaskInstance(
        task,
        dag_version_id=rows.uuid(asked["dag_version_id"]),
        run_id=run.run_id,
        map_index=asked["map_index"],
    )
    ti.id = UUID(asked["id"])
    if asked["tries_made"] > 0:
        # It was cleared: the rule and the hook see what has been tried.
        ti.try_number = asked["tries_made"]
        ti.refresh_from_task(task, dag_run=run)
        ti.max_tries = asked["max_tries"]
    elif has_hook:
        settings.task_instance_mutation_hook(ti, dag_run=run)
    return ti


def _string(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected a string, found {value!r}")
    return value


def _changed_config(ti: Any) -> Any:
    from airflow.serialization.serialized_objects import BaseSerialization

    if ti.executor_config == ti.task.executor_config:
        return None
    return BaseSerialization.serialize(ti.executor_config)
