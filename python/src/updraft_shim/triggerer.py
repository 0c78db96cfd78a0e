"""The child that runs triggers: Airflow's runner, woken when there is something to do.

Airflow's runner sleeps for a second between two looks at what its triggers did and what its
supervisor wants. Here it is woken at once by either; a look costs as much as has happened, not as
much as there are triggers. Which trigger has the processor stands in a small shared file, so that
the supervisor knows whose fault it is when the process dies or stands still.
"""

from __future__ import annotations

import asyncio
import faulthandler
import mmap
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from types import SimpleNamespace
from typing import Any, Literal, TextIO

# Path of the file that says which trigger is running: one 64-bit number, 0 for none.
_TRACE_VARIABLE = "UPDRAFT_TRIGGER_TRACE"

_TRACE_BYTES = 8


def run() -> None:
    """Run triggers until SIGTERM; the first frame on descriptor 0 is `StartTriggerer`."""
    # Asked for by the supervisor when nothing is heard any more. C code, so that it works while
    # Python code hangs.
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=False)
    _make_bundles_importable()
    _prepared_runner().run()


def _make_bundles_importable() -> None:
    """Let triggers lie beside the Dag files that use them."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    for bundle in DagBundlesManager().get_all_dag_bundles():
        if str(bundle.path) not in sys.path:
            sys.path.append(str(bundle.path))


class Bell:
    """Stands in for the event that ends the runner's pause: it can ring many times."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._stopped = False

    def set(self) -> None:
        """End every pause from now on."""
        self._stopped = True
        self._event.set()

    def ring(self) -> None:
        """End the present pause, or the next one if there is none."""
        self._event.set()

    async def wait(self) -> None:
        """Pause."""
        await self._event.wait()
        if not self._stopped:
            self._event.clear()


class Outbox(deque[Any]):
    """A queue to the supervisor that rings when something is put into it."""

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._ring = ring

    def append(self, item: Any) -> None:
        """Put something in."""
        super().append(item)
        self._ring()


class Triggers(dict[int, Any]):
    """The triggers. Whoever goes through them meets only those that have ended.

    Airflow's runner looks through all of them for ended ones in every round.
    """

    def __init__(self, ring: Callable[[], None]) -> None:
        super().__init__()
        self._ring = ring
        self._ended: dict[int, None] = {}

    def __setitem__(self, trigger_id: int, details: Any) -> None:
        def on_end(_task: asyncio.Task[None]) -> None:
            self._ended[trigger_id] = None
            self._ring()

        super().__setitem__(trigger_id, details)
        details["task"].add_done_callback(on_end)

    def __delitem__(self, trigger_id: int) -> None:
        super().__delitem__(trigger_id)
        self._ended.pop(trigger_id, None)

    def items(self) -> Any:
        """Return the triggers that have ended."""
        return {key: self[key] for key in self._ended if key in self}.items()


class Traced:
    """A coroutine that leaves a trace whenever it has the processor, and cannot end the process.

    `SystemExit` would go through the event loop and take all triggers with it.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, None], number: int, trace: Any) -> None:
        self._coroutine = coroutine
        self._number = number
        self._trace = trace

    def __await__(self) -> Generator[Any, Any, None]:
        step: Callable[[Any], Any] = self._coroutine.send
        argument: Any = None
        while True:
            self._trace[0] = self._number
            try:
                awaited = step(argument)
            except StopIteration:
                return
            except (SystemExit, KeyboardInterrupt) as error:
                raise RuntimeError(f"the trigger raised {error!r}") from error
            finally:
                self._trace[0] = 0
            try:
                argument = yield awaited
                step = self._coroutine.send
            except GeneratorExit:
                self._coroutine.close()
                raise
            except BaseException as error:
                argument = error
                step = self._coroutine.throw


class Output:
    """A text stream on which the lines that triggers print become lines of their logs."""

    def __init__(self, stream: TextIO, name: str, level: str) -> None:
        self._stream = stream
        self._name = name
        self._level = level
        self._begun: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Log the lines that a trigger completes; pass everything else on."""
        import structlog

        trigger_id = structlog.contextvars.get_contextvars().get("trigger_id")
        if trigger_id is None:
            return self._stream.write(text)
        *lines, rest = (self._begun.pop(trigger_id, "") + text).split("\n")
        if rest:
            self._begun[trigger_id] = rest
        log = structlog.get_logger(logger_name=self._name)
        for line in lines:
            getattr(log, self._level)(line)
        return len(text)


def _open_trace() -> Any:
    path = os.environ.get(_TRACE_VARIABLE)
    if path is None:
        return [0]
    with open(path, "r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), _TRACE_BYTES)).cast("q")


def _prepared_runner() -> Any:
    from airflow.jobs import triggerer_job_runner
    from pydantic import BaseModel

    class AwaitOrders(BaseModel):
        """Asks to be answered when there is something to do. A message of ours."""

        type: Literal["AwaitOrders"] = "AwaitOrders"

    class Runner(triggerer_job_runner.TriggerRunner):
        """Airflow's runner with a bell in the place of its clock."""

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.bell = Bell()
            self.synced = asyncio.Event()
            self.trace = _open_trace()
            self.triggers = Triggers(self.bell.ring)
            self.events = Outbox(self.bell.ring)
            self.failed_triggers = Outbox(self.bell.ring)

        async def init_comms(self) -> None:
            await super().init_comms()  # type: ignore[no-untyped-call]
            sys.stdout = Output(sys.stdout, "task.stdout", "info")
            sys.stderr = Output(sys.stderr, "task.stderr", "error")
            self.listener = asyncio.create_task(self.listen(), name="orders")

        async def listen(self) -> None:
            """Ring whenever the supervisor has something to do."""
            orders: Any = AwaitOrders()
            while True:
                await self.comms_decoder.asend(orders)
                self.synced.clear()
                self.bell.ring()
                await self.synced.wait()

        async def sync_state_to_supervisor(self, finished_ids: list[int]) -> None:
            await super().sync_state_to_supervisor(finished_ids)
            self.synced.set()

        def process_trigger_events(self, finished_ids: list[int]) -> Any:
            # An event that cannot be sent must not take all other triggers with it.
            return self.sanitize_trigger_events(super().process_trigger_events(finished_ids))

        async def run_trigger(self, trigger_id: int, *args: Any, **kwargs: Any) -> None:
            running = super().run_trigger(trigger_id, *args, **kwargs)
            await Traced(running, trigger_id, self.trace)

    runner = Runner()
    # The runner makes the event that ends its pause in the middle of its loop. Should it do so in
    # another way one day, it pauses for a second as it used to.
    module = vars(triggerer_job_runner)
    pause = module["anyio"].move_on_after
    module["anyio"] = SimpleNamespace(Event=lambda: runner.bell, move_on_after=pause)
    return runner
