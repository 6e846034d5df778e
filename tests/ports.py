"""Ports for servers that tests start under a number known beforehand."""

from __future__ import annotations

import os
import socket


def free_port() -> int:
    """A port of this machine that nobody listens at, below those that systems give to clients: it stays free till used,
    and between two servers."""
    first = 20_000 + os.getpid() % 10_000
    for port in range(first, 32_000):
        with socket.socket() as taken:
            try:
                taken.bind(("", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
