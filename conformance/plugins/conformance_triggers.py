"""Triggers of the random Dags: a triggerer imports them by name, so they cannot stand in a Dag file."""

from __future__ import annotations

import asyncio
import os

from airflow.triggers.base import (
    BaseTrigger,
    TaskFailedEvent,
    TaskSkippedEvent,
    TaskSuccessEvent,
    TriggerEvent,
)


class Pulse(BaseTrigger):
    """Waits a moment and then does what `event` says."""

    def __init__(self, event, payload=None):
        super().__init__()
        self.event = event
        self.payload = payload

    def serialize(self):
        name = "NoSuchTrigger" if self.event == "is missing" else "Pulse"
        return f"conformance_triggers.{name}", {"event": self.event, "payload": self.payload}

    async def run(self):
        await asyncio.sleep(float(os.environ.get("CONFORMANCE_PULSE_SECONDS", "0.1")))
        if self.event == "fires":
            yield TriggerEvent(self.payload)
        elif self.event == "raises":
            raise ValueError("a trigger fails on purpose")
        elif self.event == "sleeps":
            await asyncio.sleep(600)
        elif self.event == "succeeds":
            yield TaskSuccessEvent(xcoms={"return_value": self.payload, "from": "the trigger"})
        elif self.event == "fails":
            yield TaskFailedEvent(xcoms={"from": "the trigger"})
        elif self.event == "skips":
            yield TaskSkippedEvent()
        # Otherwise it ends without an event.
