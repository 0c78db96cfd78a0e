"""Asks a secrets backend for one setting, before there is anything else.

Reads `{"class", "kwargs", "wanted", "key", "team_name", "timeout_secs"}` and prints
`{"ok": {"value": …}}`, or `{"raised": …}` as the helper does. What the backend prints goes to the
standard error.
"""

from __future__ import annotations

import json
import os
import signal
import sys


def main() -> None:
    """Ask and print."""
    question = json.load(sys.stdin)
    # Ends the process, whatever it hangs in.
    signal.alarm(question["timeout_secs"])
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        json.dump(_answer(question), answers)


def _answer(question: dict[str, object]) -> dict[str, object]:
    from updraft_shim import extensions
    from updraft_shim.helper import raised

    try:
        from airflow import settings

        settings.prepare_syspath_for_config_and_plugins()
        return {"ok": extensions.secret(question)}
    except Exception as error:
        return {"raised": raised(error)}
