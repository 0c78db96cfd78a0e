"""Airflow's own objects for rows of the metadata store, as user code of the server expects them.

They belong to no database session, unless the caller adds them to one.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from datetime import datetime
from typing import Any
from uuid import UUID

from updraft_shim.helper import Body

# Serialized Dags that are kept: one of a thousand tasks takes some megabytes.
_DAGS_MAX = 16

_dags: OrderedDict[str, Any] = OrderedDict()

_DATES = (
    "logical_date",
    "data_interval_start",
    "data_interval_end",
    "run_after",
    "queued_at",
    "start_date",
    "end_date",
    "partition_date",
    "last_scheduling_decision",
)


class DagWantedError(Exception):
    """The Dag is not known here yet: the parent sends it along with the question, again."""


@functools.cache
def load_models() -> None:
    """Import every model, because they name each other."""
    from airflow.models import import_all_models

    import_all_models()


def dag(question: Body) -> Any:
    """Return the serialized Dag of a question."""
    from airflow.serialization.serialized_objects import DagSerialization

    name = question["hash"]
    if name not in _dags:
        if question["data"] is None:
            raise DagWantedError
        _dags[name] = DagSerialization.from_dict(question["data"])
        if len(_dags) > _DAGS_MAX:
            _dags.popitem(last=False)
    _dags.move_to_end(name)
    return _dags[name]


def dag_run(facts: Body) -> Any:
    """Make a Dag run of its columns."""
    load_models()
    from airflow.models.dagrun import DagRun
    from airflow.utils.types import DagRunTriggeredByType

    run = DagRun(dag_id=facts["dag_id"], run_id=facts["run_id"], conf=facts["conf"])
    for name in _DATES:
        setattr(run, name, date(facts.get(name)))
    run.id = facts["id"]
    run.state = facts["state"]
    run.run_type = facts["run_type"]
    run.triggered_by = facts["triggered_by"] and DagRunTriggeredByType(facts["triggered_by"])
    for name in (
        "triggering_user_name",
        "clear_number",
        "partition_key",
        "creating_job_id",
        "backfill_id",
        "bundle_version",
    ):
        setattr(run, name, facts[name])
    run.updated_at = date(facts["updated_at"])
    run.created_dag_version_id = uuid(facts["created_dag_version_id"])
    return run


def date(text: str | None) -> datetime | None:
    """Read a date as Airflow's columns give it."""
    from airflow._shared.timezones.timezone import coerce_datetime

    return coerce_datetime(datetime.fromisoformat(text)) if text else None


def uuid(text: str | None) -> UUID | None:
    """Read the id of a row."""
    return UUID(text) if text else None
