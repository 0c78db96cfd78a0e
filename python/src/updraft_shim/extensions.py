"""Asks what else plugins and settings may extend: deadlines, partitions, secrets, the host name."""

from __future__ import annotations

import functools
import importlib
import json
from datetime import timedelta
from typing import Any

from updraft_shim import rows, scratch, timetables
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


def map_partition(question: Body) -> Body:
    """Map the partition key of an event with a mapper of the user."""
    mapper = _mapper(question)
    made = mapper.to_downstream(question["key"])
    keys = [made] if isinstance(made, str) else list(made)
    for key in keys:
        if not isinstance(key, str):
            raise TypeError(f"to_downstream: expected strings, found {key!r}")
    try:
        carried = mapper.carry_partition_date(rows.date(question["partition_date"]))
    except Exception:
        # As in Airflow: the runs do without.
        carried = None
    return {
        "keys": keys,
        "keys_max": mapper.max_downstream_keys,
        "partition_date": timetables.text(carried),
    }


def judge_partition(question: Body) -> Body:
    """Tell whether a run has what it waits for, according to a mapper of the user."""
    mapper, key = _mapper(question), question["downstream_key"]
    is_satisfied, unreachable = True, None
    if mapper.is_rollup:
        verdict = mapper.wait_policy.is_satisfied_by_keys(
            matched=frozenset(question["source_keys"]), expected=mapper.to_upstream(key)
        )
        unreachable = verdict.unreachable_reason
        is_satisfied = bool(verdict.satisfied) and not verdict.unreachable
    answer: Body = {"is_satisfied": is_satisfied, "unreachable": unreachable}
    try:
        answer["partition_date"] = timetables.text(mapper.to_partition_date(key))
    except Exception as error:
        answer["undated"] = f"{type(error).__name__}: {error}"
    return answer


def _mapper(question: Body) -> Any:
    from airflow.serialization.decoders import decode_partition_mapper

    return decode_partition_mapper(question["mapper"])


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
    from airflow.sdk.definitions.connection import Connection

    module, _, name = class_path.rpartition(".")
    backend = getattr(importlib.import_module(module), name)(**json.loads(kwargs))
    if hasattr(backend, "_set_connection_class"):
        # Airflow tells each backend of which class the connections are that it makes.
        backend._set_connection_class(Connection)
    return backend


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
