"""Packets between the zygote, its parent and its children.

All of these sockets are AF_UNIX SOCK_SEQPACKET: one send is one packet, and descriptors travel
with it. A packet is one JSON object.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from typing import Any

Packet = dict[str, Any]

# The kernel refuses a packet above the sender's buffer, which is 208 KiB by default.
PACKET_BYTES_MAX = 256 * 1024


def packet_pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a packet socket."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(sock: socket.socket, packet: Packet, fds: Sequence[int] = ()) -> None:
    """Send one packet and copies of the given descriptors."""
    body = json.dumps(packet).encode()
    if fds:
        socket.send_fds(sock, [body], list(fds))
    else:
        sock.send(body)


def receive(sock: socket.socket, flags: int = 0) -> Packet | None:
    """Return the next packet, or None when there is none, or the other side is gone."""
    try:
        body = sock.recv(PACKET_BYTES_MAX, flags)
    except (BlockingIOError, ConnectionResetError):
        return None
    return json.loads(body) if body else None
