"""Calls the listeners of the server side, one at a time, in the order in which pluggy would."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from updraft_shim import rows, scratch
from updraft_shim.helper import Body

_started: list[Any] = []


def names() -> dict[str, list[str]]:
    """Name the listeners of each hook, in the order in which they are called."""
    return {
        hook: [_name(each.plugin) for each in reversed(caller.get_hookimpls())]
        for hook, caller in vars(_manager().hook).items()
        if hasattr(caller, "get_hookimpls") and caller.get_hookimpls()
    }


def call(question: Body) -> bool:
    """Call one listener; return whether there is one of that name."""
    hook, wanted = question["hook"], question["listener"]
    found = [each for each in _implementations(hook) if _name(each.plugin) == wanted]
    if not found:
        return False
    start()
    if hook == "on_starting":
        # Which has just been done, for all of them.
        return True
    arguments, done = _ARGUMENTS[question["subject"]](question)
    try:
        for implementation in found:
            _call(implementation, arguments)
    finally:
        done()
    return True


def start() -> None:
    """Tell listeners that the process that calls them starts, once."""
    if _started:
        return
    scratch.connect()
    from airflow.jobs.job import Job

    # Airflow's job tells them itself when it is made.
    _started.append(Job(job_type="SchedulerJob"))


def stop() -> None:
    """Tell listeners that this process ends, if they were told that it started."""
    for job in _started:
        for implementation in _implementations("before_stopping"):
            try:
                _call(implementation, {"component": job})
            except Exception:
                _log().exception("a listener raised", listener=_name(implementation.plugin))
    _started.clear()


@functools.cache
def _manager() -> Any:
    from airflow.listeners.listener import get_listener_manager

    return get_listener_manager()


def _implementations(hook: str) -> Iterator[Any]:
    caller = getattr(_manager().hook, hook, None)
    return reversed(caller.get_hookimpls() if caller else [])


def _call(implementation: Any, arguments: Body) -> None:
    implementation.function(*(arguments[name] for name in implementation.argnames))


def _name(listener: Any) -> str:
    """Name a listener as `airflow plugins` does."""
    if inspect.ismodule(listener):
        return listener.__name__
    kind = listener if inspect.isclass(listener) else type(listener)
    return f"{kind.__module__}.{kind.__qualname__}"


def _log() -> Any:
    import structlog

    return structlog.get_logger("updraft.listeners")


_Arguments = tuple[Body, Callable[[], None]]


def _nothing() -> None:
    return None


def _of_dag_run(question: Body) -> _Arguments:
    session = scratch.session()
    run = scratch.dag_run(session, question)
    run.dag = rows.dag(question["dag"]) if question["dag"] else None
    return {"dag_run": run, "msg": question["msg"]}, session.close


def _of_task_instance(question: Body) -> _Arguments:
    from airflow.models.taskinstance import TaskInstance

    session = scratch.session()
    run = scratch.dag_run(session, question)
    run.dag = rows.dag(question["dag"]) if question["dag"] else None
    ti = session.get(TaskInstance, rows.uuid(question["ti_id"]))
    if run.dag and run.dag.has_task(ti.task_id):
        ti.task = run.dag.get_task(ti.task_id)
    arguments = {
        "previous_state": question["previous_state"],
        "task_instance": ti,
        "error": question["msg"],
    }
    return arguments, session.close


def _asset(facts: Body) -> Any:
    from airflow.serialization.definitions.assets import SerializedAsset

    return SerializedAsset(
        name=facts["name"],
        uri=facts["uri"],
        group=facts["group"],
        extra=facts["extra"],
        watchers=[],
    )


def _alias(facts: Body) -> Any:
    from airflow.serialization.definitions.assets import SerializedAssetAlias

    return SerializedAssetAlias(name=facts["name"], group=facts["group"])


def _of_asset(question: Body) -> _Arguments:
    return {"asset": _asset(question["asset"])}, _nothing


def _of_asset_alias(question: Body) -> _Arguments:
    return {"asset_alias": _alias(question["asset_alias"])}, _nothing


def _of_asset_event(question: Body) -> _Arguments:
    from airflow.listeners.types import AssetEvent

    facts = question["asset_event"]
    event = AssetEvent(
        asset=_asset(facts["asset"]),
        extra=facts["extra"],
        source_dag_id=facts["source_dag_id"],
        source_task_id=facts["source_task_id"],
        source_run_id=facts["source_run_id"],
        source_map_index=facts["source_map_index"],
        source_aliases=[_alias(alias) for alias in facts["source_aliases"]],
        partition_key=facts["partition_key"],
        partition_date=rows.date(facts["partition_date"]),
    )
    return {"asset_event": event}, _nothing


def _of_import_error(question: Body) -> _Arguments:
    return {name: question[name] for name in ("filename", "stacktrace")}, _nothing


# What a hook is about, and how its arguments are made.
_ARGUMENTS: dict[str, Callable[[Body], _Arguments]] = {
    "dag_run": _of_dag_run,
    "task_instance": _of_task_instance,
    "asset": _of_asset,
    "asset_alias": _of_asset_alias,
    "asset_event": _of_asset_event,
    "import_error": _of_import_error,
}
