"""The child that runs one callback which an executor was handed.

Airflow forks with the arguments in memory, so there is no message of Airflow's for them. Ours is
the first frame on descriptor 0: `[0, {"type": "ExecuteCallback", "callback_path",
"callback_kwargs", "dag_rel_path", "bundle_info"}]`. Afterwards the socket speaks the usual
requests.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def run() -> None:
    """Run the callback; exit 1 when it raised."""
    import structlog
    from airflow.sdk.execution_time import comms, task_runner
    from airflow.sdk.execution_time.callback_supervisor import execute_callback

    log = structlog.get_logger(logger_name="callback_runner")
    decoder: Any = comms.CommsDecoder(log=log)
    task_runner.SUPERVISOR_COMMS = decoder
    body = decoder._read_frame().body
    succeeded, _error = execute_callback(
        callback_path=body["callback_path"],
        callback_kwargs=body["callback_kwargs"],
        dag_rel_path=body["dag_rel_path"],
        bundle_path=_open_bundle(body["bundle_info"]),
        log=log,
    )
    if not succeeded:
        sys.exit(1)


def _open_bundle(bundle_info: dict[str, Any] | None) -> Path | None:
    """Make the Dag bundle importable and return its folder."""
    if bundle_info is None:
        return None

    from airflow.dag_processing.bundles.manager import DagBundlesManager

    bundle = DagBundlesManager().get_bundle(
        name=bundle_info["name"], version=bundle_info["version"]
    )
    bundle.initialize()
    if str(bundle.path) not in sys.path:
        sys.path.append(str(bundle.path))
    return Path(bundle.path)
