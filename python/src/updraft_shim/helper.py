"""The child that answers questions which only the user's Python can answer.

The parent sends `[id, {"type": "HelperQuestion", "kind", "body"}]` and gets
`[id, {"type": "HelperAnswer", "body"}]`; bodies are JSON texts. In between, and beside it, the
child may make the usual requests (connections, variables), which the parent answers as it does
for every child.

An answer is `{"ok": …}`, or `{"raised": {"type", "message", "traceback"}}` when the user's code
raised. What hangs is killed by the parent.
"""

from __future__ import annotations

import importlib
import json
import traceback
from collections.abc import Callable
from typing import Any

Body = dict[str, Any]

# Frames of a traceback that are sent: enough to find the line, whatever recursed.
_FRAMES_MAX = 20

# Characters of a message that are sent.
_MESSAGE_MAX = 4000

# Which function of which module answers which question.
_ANSWERS = {
    "DescribeTimetable": "timetables.describe",
    "NextDagRun": "timetables.next_dagrun",
    "ManualRun": "timetables.manual_run",
    "DagRunsBetween": "timetables.runs_between",
    "SettleTaskInstances": "task_instances.settle",
    "DescribePlugins": "inventory.describe",
    "GetPluginInfo": "inventory.plugin_info",
    "GetProviders": "inventory.providers",
    "CallListener": "listeners.call",
    "EvaluateDeadlineReference": "extensions.deadline_reference",
    "MapPartition": "extensions.map_partition",
    "JudgePartition": "extensions.judge_partition",
    "GetSecret": "extensions.secret",
    "GetHostname": "extensions.hostname",
}


def run() -> None:
    """Answer questions on descriptor 0 until it is closed."""
    from airflow.sdk.execution_time import task_runner

    from updraft_shim.helper_comms import Comms

    channel = Comms()
    task_runner.SUPERVISOR_COMMS = channel
    try:
        while True:
            frame_id, question = channel.next_question()
            channel.answer(frame_id, _answer(question["kind"], json.loads(question["body"])))
    except EOFError:
        from updraft_shim import listeners

        listeners.stop()


def _answer(kind: str, body: Body) -> Body:
    try:
        answer = {"ok": _answerer(kind)(body)}
        # What cannot be sent is the user's mistake as well.
        json.dumps(answer, allow_nan=False)
    except Exception as error:
        return {"raised": raised(error)}
    return answer


def _answerer(kind: str) -> Callable[[Body], Any]:
    module, _, name = _ANSWERS[kind].partition(".")
    function: Callable[[Body], Any] = vars(importlib.import_module(f"updraft_shim.{module}"))[name]
    return function


def raised(error: BaseException) -> Body:
    """Describe an exception."""
    kind = type(error)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    frames = traceback.format_exception(error, limit=-_FRAMES_MAX)
    return {
        "type": f"{module}{kind.__qualname__}",
        "message": str(error)[:_MESSAGE_MAX],
        "traceback": "".join(frames)[-_MESSAGE_MAX:],
    }
