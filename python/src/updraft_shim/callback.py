"""The child of an executor that runs one callback, or tests one connection.

Airflow forks with the order in memory, so there is no message of Airflow's for it. Ours is the
first frame on descriptor 0: `[0, {"type": "ExecuteCallback", "callback_path", "callback_kwargs",
"dag_rel_path", "bundle_info"}]` or `[0, {"type": "TestConnection", "connection"}]`. Afterwards the
socket speaks the usual requests; a test ends with `{"type": "ConnectionTestResult", "status",
"message"}`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


def run() -> None:
    """Do what the first frame orders; exit 1 when a callback raised."""
    import structlog
    from airflow.sdk.execution_time import comms, task_runner

    log = structlog.get_logger(logger_name="callback_runner")
    decoder: Any = comms.CommsDecoder(log=log)
    task_runner.SUPERVISOR_COMMS = decoder
    body: Any = decoder._read_frame().body
    if body["type"] == "TestConnection":
        _test_connection(decoder, body["connection"])
    elif (error := _execute_callback(log, body)) is not None:
        log.error("Callback failed", error=error)
        sys.exit(1)


def _execute_callback(log: Any, body: dict[str, Any]) -> str | None:
    """Run a callback and return why it failed."""
    from airflow.sdk.execution_time.callback_supervisor import execute_callback
    from airflow.sdk.serde import deserialize

    bundle_path = _open_bundle(log, body["bundle_info"])
    try:
        kwargs: Any = deserialize(body["callback_kwargs"])
    except Exception as error:
        return f"Its arguments cannot be read: {type(error).__name__}: {error}"
    succeeded, reason = execute_callback(
        callback_path=body["callback_path"],
        callback_kwargs=kwargs,
        dag_rel_path=body["dag_rel_path"],
        bundle_path=bundle_path,
        log=log,
    )
    return None if succeeded else str(reason)


def _open_bundle(log: Any, bundle_info: dict[str, Any]) -> Path | None:
    """Make the Dag bundle importable and return its folder."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    try:
        bundle = DagBundlesManager().get_bundle(
            name=bundle_info["name"], version=bundle_info["version"]
        )
        bundle.initialize()
    except Exception:
        # The callback may come from an installed package.
        log.warning("The Dag bundle is not there", bundle_name=bundle_info["name"], exc_info=True)
        return None
    if str(bundle.path) not in sys.path:
        sys.path.append(str(bundle.path))
    return Path(bundle.path)


def _test_connection(decoder: Any, fields: dict[str, Any]) -> None:
    """Ask the connection's hook, and send what it said."""
    from airflow.sdk import Connection
    from pydantic import BaseModel

    class ConnectionTestResult(BaseModel):
        type: str = "ConnectionTestResult"
        status: bool
        message: str

    names = ("conn_id", "conn_type", "host", "login", "password", "schema", "port", "extra")
    try:
        connection: Any = Connection(**{name: fields[name] for name in names})
        # The hook asks for the connection by its id, and may do so in a process of its own.
        os.environ[f"AIRFLOW_CONN_{connection.conn_id.upper()}"] = connection.get_uri()
        status, message = connection.test_connection()
    except Exception as error:
        status = False
        message = f"Connection test failed unexpectedly: {type(error).__name__}"
    decoder.send(ConnectionTestResult(status=bool(status), message=str(message)))
