"""Triggers that do what their argument says, and the operator that waits for them."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from airflow.sdk import BaseHook, BaseOperator, Variable
from airflow.triggers.base import (
    BaseTrigger,
    StartTriggerArgs,
    TaskFailedEvent,
    TaskSkippedEvent,
    TaskSuccessEvent,
    TriggerEvent,
)

SIGNALS = Path(os.environ["AIRFLOW_HOME"]) / "signals"


def leave_a_sign(name: str) -> None:
    """Says where this happened."""
    SIGNALS.mkdir(exist_ok=True)
    unfinished = SIGNALS / f".{name}"
    unfinished.write_text(str(os.getpid()))
    unfinished.rename(SIGNALS / name)


async def wait_for_sign(name: str) -> None:
    while not (SIGNALS / name).exists():
        await asyncio.sleep(0.05)


class Does(BaseTrigger):
    """Runs the method named like `what`."""

    def __init__(self, what: str, name: str = "") -> None:
        super().__init__()
        self.what = what
        self.name = name

    def serialize(self):
        return "waiting.Does", {"what": self.what, "name": self.name}

    async def run(self):
        async for event in getattr(self, self.what)():
            yield event

    async def on_kill(self) -> None:
        leave_a_sign(f"killed-{self.name}")

    async def echo(self):
        yield TriggerEvent({"said": self.name})

    async def sign(self):
        """Fires once somebody left a sign."""
        leave_a_sign(f"waits-{self.name}")
        await wait_for_sign(self.name)
        yield TriggerEvent(self.name)

    async def twice(self):
        yield TriggerEvent("first")
        yield TriggerEvent("second")

    async def never(self):
        leave_a_sign(f"waits-{self.name}")
        while True:
            await asyncio.sleep(60)
        yield

    async def succeeds(self):
        yield TaskSuccessEvent(xcoms={"return_value": [1, 2], "other": self.name})

    async def fails(self):
        yield TaskFailedEvent()

    async def skips(self):
        yield TaskSkippedEvent()

    async def talks(self):
        print("printed by the trigger")
        print("complained by the trigger", file=sys.stderr)
        self.log.info("logged by the trigger")
        connection = await asyncio.to_thread(BaseHook.get_connection, "vault")
        print("the password is", connection.password)
        await asyncio.to_thread(Variable.set, "heard", "yes")
        yield TriggerEvent("talked")

    # What no trigger should do.

    async def raises(self):
        raise RuntimeError("the trigger broke")
        yield

    async def ends(self):
        return
        yield

    async def exits(self):
        sys.exit(3)
        yield

    async def blocks(self):
        time.sleep(600)
        yield

    async def dies(self):
        os._exit(7)
        yield

    async def is_killed(self):
        os.kill(os.getpid(), signal.SIGKILL)
        yield

    async def reads_address_zero(self):
        ctypes.string_at(0)
        yield

    async def floods(self):
        number = 0
        while True:
            number += 1
            yield TriggerEvent(number)

    async def says_what_nobody_can_read(self):
        yield TriggerEvent({"__classname__": "no.such.Class", "__version__": 1, "__data__": {}})

    async def says_a_generator(self):
        yield TriggerEvent(number for number in range(3))


class Unloadable(BaseTrigger):
    """Cannot be made again from what it stores."""

    def __init__(self) -> None:
        super().__init__()

    def serialize(self):
        return "waiting.Unloadable", {"surplus": True}

    async def run(self):
        yield TriggerEvent(None)


class Waits(BaseOperator):
    """Defers to a trigger that does `what`, and returns what it said."""

    template_fields = ("what",)

    def __init__(self, what: str, limit=None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.what = what
        self.limit = limit

    def execute(self, context):
        print("about to wait")
        name = f"{self.task_id}{'' if context['ti'].map_index < 0 else context['ti'].map_index}"
        trigger = Unloadable() if self.what == "unloadable" else Does(self.what, name)
        self.defer(trigger=trigger, method_name="go_on", timeout=self.limit, kwargs={"kept": 1})

    def go_on(self, context, kept, event):
        print("going on")
        return {"kept": kept, "event": event}


class Begins(BaseOperator):
    """Starts in a trigger that does `what`; no worker is needed before its event."""

    template_fields = ("name",)

    def __init__(self, what: str, name: str, **kwargs) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.start_from_trigger = True
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="waiting.Does",
            trigger_kwargs={"what": what, "name": name},
            next_method="go_on",
            next_kwargs={"kept": 2},
        )

    def execute(self, context):
        raise RuntimeError("a worker started it")

    def go_on(self, context, kept, event):
        return {"kept": kept, "event": event}
