"""Asks what else plugins and settings may extend: deadlines, partitions, secrets, the host name."""

from __future__ import annotations

import functools
import importlib
import json
from datetime import timedelta
from typing import Any

from updraft_shim import scratch, timetables
from updraft_shim.helper import Body


def deadline_reference(question: Body) -> Body:
    """Evaluate a deadline reference of the user for a run."""
    from airflow.serialization.decoders import decode_deadline_reference

    reference = decode_deadline_reference(question["reference"])
    with scratch.session() as session:
        run = scratch.dag_run(session, question)
        at = reference.evaluate_with(
            session=session, interval=timedelta(0), dag_id=run.dag_id, run_id=run.run_id
        )
    return {"at": timetables.text(at)}


def map_partitions(question: Body) -> list[Any]:
    """Map partition keys with mappers of the user.

    Each step is `{"mapper", "call", "arguments"}`; the answer holds one result each.
    """
    return [_map(step) for step in question["steps"]]


def _map(step: Body) -> Any:
    from airflow.serialization.decoders import decode_partition_mapper

    mapper = decode_partition_mapper(step["mapper"])
    made = getattr(mapper, step["call"])
    if not callable(made):
        return made
    made = made(*step["arguments"])
    return made if made is None or isinstance(made, (str, bool, int)) else sorted(map(str, made))


def secret(question: Body) -> Body:
    """Look a connection, a variable or a setting up in a secrets backend."""
    backend = _backend(question["class"], json.dumps(question["kwargs"], sort_keys=True))
    key, team = question["key"], question["team_name"]
    if question["wanted"] == "connection":
        return {"connection": _connection(backend, key, team)}
    if question["wanted"] == "config":
        return {"value": backend.get_config(key)}
    value = _call(backend.get_variable, key, team)
    return {"value": None if value is None else str(value)}


@functools.cache
def _backend(class_path: str, kwargs: str) -> Any:
    module, _, name = class_path.rpartition(".")
    return getattr(importlib.import_module(module), name)(**json.loads(kwargs))


def _call(method: Any, key: str, team: str | None) -> Any:
    # Backends that know no teams do not take the argument.
    return method(key, team_name=team) if team else method(key)


def _connection(backend: Any, conn_id: str, team: str | None) -> Body | None:
    found = _call(backend.get_connection, conn_id, team)
    if found is None:
        return None
    names = ("conn_type", "host", "schema", "login", "password", "port", "extra", "description")
    return {name: getattr(found, name, None) for name in names}


def hostname(_question: Body) -> str:
    """Call `[core] hostname_callable`."""
    from airflow.utils.net import get_hostname

    return str(get_hostname())
