"""A private database with the rows of one question, in Airflow's own schema.

Listeners and deadline references of users load what they need through a session, also from
processes they start. They get one on a SQLite file of this process, which holds the Dag run they
are called for; the metadata store stays out of their reach.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from updraft_shim import rows, runtime
from updraft_shim.helper import Body

# Runs whose rows are kept: processes that listeners start may read them a little later.
_RUNS_MAX = 32

_kept: list[tuple[str, str]] = []


@functools.cache
def connect() -> Any:
    """Create the database, let sessions use it, and return its engine."""
    rows.load_models()
    from airflow import settings
    from airflow.configuration import conf
    from airflow.models.base import Base
    from sqlalchemy import event

    folder = tempfile.mkdtemp(prefix="updraft-listener-")
    atexit.register(_remove, folder, os.getpid())
    url = f"sqlite:///{Path(folder) / 'scratch.db'}"
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = url
    conf.set("database", "sql_alchemy_conn", url)
    for option in ("sql_alchemy_conn_cmd", "sql_alchemy_conn_secret"):
        conf.remove_option("database", option)
    vars(sys.modules[settings.__name__]).pop("__getattr__", None)
    vars(settings)["configure_orm"] = runtime.configure_orm()
    settings.configure_vars()
    settings.configure_orm()
    engine: Any = settings.engine
    event.listen(engine, "connect", _make_fast)
    engine.dispose()
    Base.metadata.create_all(engine)
    return engine


def session() -> Any:
    """Open a session on the database."""
    from airflow import settings

    connect()
    # The one of Airflow is taken away in children, and has just been put back.
    maker: Any = settings.Session
    return maker()


def dag_run(session: Any, question: Body) -> Any:
    """Store the run of a question with what belongs to it, and load it."""
    from airflow.models.dag import DagModel
    from airflow.models.dag_version import DagVersion
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    facts = question["dag_run"]
    key = (facts["dag_id"], facts["run_id"])
    _forget(session, key)
    dag = question["dag_row"]
    _insert(session, DagBundleModel, {"name": dag["bundle_name"], "active": True})
    _insert(session, DagModel, dag)
    for version in question["dag_versions"]:
        _insert(session, DagVersion, version)
    _insert(session, DagRun, facts)
    for task_instance in question["task_instances"]:
        _insert(session, TaskInstance, task_instance)
    session.commit()
    _kept.append(key)
    return session.scalar(select(DagRun).where(DagRun.dag_id == key[0], DagRun.run_id == key[1]))


def _forget(session: Any, key: tuple[str, str]) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import delete

    old = [each for each in _kept if each == key]
    old += _kept[: max(len(_kept) - _RUNS_MAX, 0)]
    for dag_id, run_id in old:
        for model in (TaskInstance, DagRun):
            session.execute(
                delete(model).where(model.dag_id == dag_id, model.run_id == run_id),
                execution_options={"synchronize_session": False},
            )
    _kept[:] = [each for each in _kept if each not in old]
    session.expunge_all()


def _insert(session: Any, model: Any, values: Body) -> None:
    """Insert a row of what is known; what is not gets the column's default."""
    from sqlalchemy import insert

    table = model.__table__
    columns = {name: table.c[name] for name in values if name in table.c}
    known = {name: _value(column, values[name]) for name, column in columns.items()}
    session.execute(insert(table).prefix_with("OR REPLACE").values(known))


def _value(column: Any, value: Any) -> Any:
    kind = type(column.type).__name__
    if value is None:
        return None
    if kind in ("UtcDateTime", "TIMESTAMP"):
        return rows.date(value)
    if kind in ("Uuid", "UUID"):
        return rows.uuid(value)
    if kind == "Enum" and column.type.enum_class:
        return column.type.enum_class(value)
    if column.name == "executor_config":
        return {}
    return value


def _make_fast(connection: Any, _record: Any) -> None:
    # Nothing here outlives the process.
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA foreign_keys = OFF")


def _remove(folder: str, owner: int) -> None:
    # Processes that listeners fork inherit this call.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)
