"""The socket of a helper: questions come in, and the usual requests go out, on the same one."""

from __future__ import annotations

import collections
import json
import os
import select
from typing import Any

import msgspec
from airflow.sdk.execution_time import comms

from updraft_shim.helper import Body

_QUESTION = "HelperQuestion"


class Comms(comms.CommsDecoder):  # type: ignore[type-arg]
    """Airflow's requests on a socket on which questions arrive as well.

    A thread that waits for the answer to its request may find a question instead; it puts it
    aside and wakes the main thread.
    """

    def __init__(self) -> None:
        super().__init__()
        self._questions: collections.deque[tuple[int, Body]] = collections.deque()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def _read_frame(self, maxfds: int | None = None) -> Any:
        while True:
            got: Any = super()._read_frame(maxfds)
            frame = got[0] if maxfds else got
            if (frame.body or {}).get("type") != _QUESTION:
                return got
            self._questions.append((frame.id, frame.body))
            os.write(self._wake_write, b"q")

    def next_question(self) -> tuple[int, Body]:
        """Wait for a question; raise `EOFError` when there will be no more."""
        poller = select.poll()
        poller.register(self.socket, select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        while not self._questions:
            ready = {fd for fd, _events in poller.poll()}
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            with self._thread_lock:
                # A thread may have read meanwhile what woke us.
                if select.select([self.socket], [], [], 0)[0]:
                    frame: Any = super()._read_frame()
                    self._questions.append((frame.id, frame.body))
        return self._questions.popleft()

    def answer(self, frame_id: int, answer: Body) -> None:
        """Send the answer to one question."""
        body = {"type": "HelperAnswer", "body": json.dumps(answer, allow_nan=False)}
        frame = msgspec.msgpack.encode([frame_id, body])
        with self._thread_lock:
            self.socket.sendall(len(frame).to_bytes(4, "big") + frame)
