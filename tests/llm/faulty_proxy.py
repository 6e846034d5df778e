"""A scripted man in the middle: passes requests on to a real server, or spoils its answers as told."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Fault:
    """What happens to one chat request. ``status``: answer so instead of asking the server; ``cut``: break off the
    answer in its middle; ``wait_s``: keep the answer back, until ``hurry`` or ``calm`` at the latest."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut: bool = False
    wait_s: float = 0.0


@dataclass(frozen=True)
class Seen:
    """A request as it came in; ``answered``: how many chat requests had been answered by then."""

    path: str
    body: Any
    headers: Mapping[str, str]
    at: float
    answered: int


class Proxy:
    """Listens on loopback. ``faults`` are used up one a chat request; ``rule`` decides on the rest. Without an
    ``upstream``, ``answer(path, body)`` gives status and JSON."""

    def __init__(self, upstream: str = "", answer: Callable[[str, Any], tuple[int, Any]] | None = None) -> None:
        self.faults: deque[Fault] = deque()
        self.rule: Callable[[Any], Fault | None] = lambda body: None
        self.seen: list[Seen] = []
        self.most_at_once = self.answered = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._hurry = threading.Event()
        self._upstream, self._answer = upstream, answer
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def chats(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.path == CHAT]

    def hurry(self) -> None:
        """Let go of what is kept back; nothing is until ``calm``."""
        self._hurry.set()

    def calm(self) -> None:
        """Let go of what is kept back, then forget faults and requests."""
        self.faults.clear()
        self.rule = lambda body: None
        self.hurry()
        with self._idle:
            assert self._idle.wait_for(lambda: not self._at_once, timeout=120)
        self._hurry.clear()
        self.seen.clear()
        self.most_at_once = self.answered = 0

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _fault(self, path: str, body: Any) -> Fault | None:
        if path != CHAT:
            return None
        with self._lock:
            return self.faults.popleft() if self.faults else self.rule(body)

    def _ask(self, path: str, data: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        body = json.loads(data) if data else None
        if self._answer is not None:
            status, answer = self._answer(path, body)
            return status, json.dumps(answer).encode()
        kept = {name: value for name, value in headers.items() if name.lower() in ("authorization", "content-type")}
        request = urllib.request.Request(self._upstream + path, data=data, headers=kept)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._pass(None)

            def do_POST(self) -> None:
                self._pass(self.rfile.read(int(self.headers["Content-Length"])))

            def _pass(self, data: bytes | None) -> None:
                body = json.loads(data) if data else None
                with proxy._lock:
                    headers = dict(self.headers.items())
                    proxy.seen.append(Seen(self.path, body, headers, time.monotonic(), proxy.answered))
                    proxy._at_once += 1
                    proxy.most_at_once = max(proxy.most_at_once, proxy._at_once)
                try:
                    self._spoiled(proxy._fault(self.path, body) or Fault(), data)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True
                finally:
                    with proxy._idle:
                        proxy._at_once -= 1
                        proxy._idle.notify_all()

            def _spoiled(self, fault: Fault, data: bytes | None) -> None:
                if fault.wait_s:
                    proxy._hurry.wait(fault.wait_s)
                if fault.status:
                    status, answer = fault.status, fault.body or b'{"error": {"message": "scripted"}}'
                else:
                    status, answer = proxy._ask(self.path, data, dict(self.headers.items()))
                    answer = fault.body if fault.body is not None else answer
                self.send_response(status)
                for name, value in ({"Content-Type": "application/json"} | dict(fault.headers)).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                with proxy._lock:
                    proxy.answered += self.path == CHAT
                self.end_headers()
                self.wfile.write(answer[: len(answer) // 2] if fault.cut else answer)
                self.close_connection = self.close_connection or fault.cut

            def log_message(self, *arguments: Any) -> None:
                return

        return Handler
