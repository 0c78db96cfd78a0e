"""Asks timetable classes that plugins register, in the words of Airflow's scheduler."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from updraft_shim.helper import Body, raised


def describe(question: Body) -> Body:
    """Tell what the control plane must know of a timetable without asking again."""
    from airflow.serialization.encoders import encode_asset_like
    from airflow.timetables.base import Timetable

    timetable = _decode(question)
    condition = timetable.asset_condition
    return {
        "summary": str(timetable.summary),
        "description": str(timetable.description or ""),
        "periodic": bool(timetable.periodic),
        "can_be_scheduled": bool(timetable.can_be_scheduled),
        "partitioned": bool(timetable.partitioned),
        "partitioned_at_runtime": bool(timetable.partitioned_at_runtime),
        "active_runs_limit": timetable.active_runs_limit,
        "run_ordering": [str(field) for field in timetable.run_ordering],
        "asset_condition": encode_asset_like(condition) if condition else None,
        "makes_run_ids": type(timetable).generate_run_id is not Timetable.generate_run_id,
    }


def next_dagrun(question: Body) -> Body | None:
    """Say when the next scheduled run is due, and under which id."""
    from airflow.timetables.base import TimeRestriction

    timetable = _decode(question)
    restriction = question["restriction"]
    info = timetable.next_dagrun_info_v2(
        last_dagrun_info=_last(timetable, question["last"]),
        restriction=TimeRestriction(
            earliest=_date(restriction["earliest"]),
            latest=_date(restriction["latest"]),
            catchup=restriction["catchup"],
        ),
    )
    return None if info is None else _info(timetable, info, "scheduled")


def manual_run(question: Body) -> Body:
    """Complete a run that somebody asks for: its interval, id and partition date."""
    from airflow.timetables.base import DataInterval

    timetable = _decode(question)
    interval: Any = None
    if given := question["data_interval"]:
        interval = DataInterval(*map(_date, given))
    elif question["infer_from"]:
        interval = timetable.infer_manual_data_interval(run_after=_date(question["infer_from"]))
    # As for every manual run, the interval decides when no date is given.
    run_after = _date(question["run_after"]) or interval.end
    partition_date = timetable.resolve_partition_date(question["partition_key"])
    return {
        "data_interval": _interval(interval),
        "run_id": _run_id(timetable, question["run_type"], run_after, interval),
        "partition_date": text(partition_date),
    }


def runs_between(question: Body) -> Body:
    """List the runs that a backfill makes, up to a limit."""
    timetable = _decode(question)
    earliest, latest = _date(question["earliest"]), _date(question["latest"])
    infos: list[Body] = []
    answer: Body = {"infos": infos, "is_cut": False, "raised": None}
    if timetable.partitioned:
        found = iter(timetable.iter_partition_dagrun_infos(earliest=earliest, latest=latest))
    else:
        found = _follow(timetable, earliest, latest)
    try:
        for info in found:
            if len(infos) == question["limit"]:
                answer["is_cut"] = True
                break
            infos.append(_info(timetable, info, "backfill"))
    except Exception as error:
        # As in Airflow: what was found before counts.
        if timetable.partitioned:
            raise
        answer["raised"] = raised(error)
    return answer


def _follow(timetable: Any, earliest: Any, latest: Any) -> Iterator[Any]:
    from airflow.timetables.base import TimeRestriction

    restriction = TimeRestriction(earliest, latest, catchup=True)
    info = None
    while info := timetable.next_dagrun_info_v2(last_dagrun_info=info, restriction=restriction):
        yield info


def _decode(question: Body) -> Any:
    from airflow.serialization.decoders import decode_timetable

    return decode_timetable(question["timetable"])


def _last(timetable: Any, last: Body | None) -> Any:
    from airflow.timetables.base import DagRunInfo, DataInterval

    if last is None:
        return None
    run_after = _date(last["run_after"])
    interval = None
    if last["data_interval"]:
        interval = DataInterval(*map(_date, last["data_interval"]))
    elif last["partition_key"] is None:
        interval = timetable.infer_manual_data_interval(run_after=run_after)
    return DagRunInfo(
        run_after=run_after,
        data_interval=interval,
        partition_date=_date(last["partition_date"]),
        partition_key=last["partition_key"],
    )


def _info(timetable: Any, info: Any, run_type: str) -> Body:
    run_id = _run_id(
        timetable, run_type, info.run_after, info.data_interval, partition_key=info.partition_key
    )
    return {
        "run_after": text(info.run_after),
        "data_interval": _interval(info.data_interval),
        "partition_date": text(info.partition_date),
        "partition_key": info.partition_key,
        "run_id": run_id,
    }


def _run_id(timetable: Any, run_type: str, run_after: Any, interval: Any, **extra: Any) -> str:
    from airflow.utils.types import DagRunType

    made: str = timetable.generate_run_id(
        run_type=DagRunType(run_type), run_after=run_after, data_interval=interval, **extra
    )
    if not isinstance(made, str):
        raise TypeError(f"generate_run_id: expected a string, found {made!r}")
    return made


def _date(text: str | None) -> Any:
    from airflow._shared.timezones.timezone import coerce_datetime

    return coerce_datetime(datetime.fromisoformat(text)) if text else None


def text(date: Any) -> str | None:
    """Write a date, which must have a time zone."""
    if date is None:
        return None
    if not isinstance(date, datetime):
        raise TypeError(f"expected a date and time, found {date!r}")
    if date.utcoffset() is None:
        raise ValueError(f"expected a date with a time zone, found {date.isoformat()}")
    return date.isoformat()


def _interval(interval: Any) -> list[str | None] | None:
    return None if interval is None else [text(interval.start), text(interval.end)]
