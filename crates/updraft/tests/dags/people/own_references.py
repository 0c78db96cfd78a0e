"""A plugin with times of its own from which deadlines count, and with what is called in the triggerer."""
from __future__ import annotations

import asyncio
import json
import pathlib
from datetime import timedelta

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk.definitions.deadline import BaseDeadlineReference


class Queued(BaseDeadlineReference):
    """What it needs it loads from the run."""

    required_kwargs = {"dag_id", "run_id"}

    def _evaluate_with(self, *, session, dag_id, run_id):
        from airflow.models.dagrun import DagRun
        from sqlalchemy import select

        query = select(DagRun.queued_at).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
        return session.scalar(query) - timedelta(minutes=1)


class Broken(BaseDeadlineReference):
    def _evaluate_with(self, *, session, **kwargs):
        raise ValueError("the sundial is in the shade")


async def tell(when, context):
    from airflow.sdk import Variable
    from asgiref.sync import sync_to_async

    await asyncio.sleep(0)
    secret = await sync_to_async(Variable.get)("colour")
    fields = {"when": when, "dag_run": context["dag_run"], "secret": secret}
    with open(pathlib.Path(__file__).parent.parent / "told", "a") as file:
        file.write(json.dumps(fields, default=str) + "\n")
    return "told"


async def fail():
    raise ConnectionError("the line is dead")


class OwnReferences(AirflowPlugin):
    name = "own_references"
    deadline_references = [Queued, Broken]
