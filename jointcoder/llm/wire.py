"""One connection to a model server: where it may stand, how often it is asked, and what its failures are called.

Requests run side by side in an event loop of this object's own, so that an interrupt ends them at once and leaves no
thread behind. What may pass (connection lost, 429, 5xx, an answer cut off) is tried again after a pause that doubles
and carries jitter (Brooker 2015, "Exponential backoff and jitter"); a server's ``Retry-After`` is honoured. Notes go
to a private address only, past no proxy and no redirect. Messages name the place, the path and the status: never
what was sent, and nothing a server says, since servers quote the request in their errors.

This module knows nothing of prompts, questions or abilities.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import re
import socket
import threading
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from jointcoder.errors import ModelError, UsageError

T = TypeVar("T")

PRIVATE = tuple(
    map(
        ipaddress.ip_network,
        # Private use (RFC 1918, RFC 4193) and link-local (RFC 3927, RFC 4291); loopback is asked for by name.
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "169.254.0.0/16", "fe80::/10"),
    )
)
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 529})  # HTTP statuses that a later try may not meet
LONGEST_PAUSE_S = 60.0
CONNECT_S = 10.0
_OVERFLOW = re.compile(r"context[ _]?(length|size|window)|exceed_context|maximum (allowed )?length", re.IGNORECASE)


@dataclass(frozen=True)
class Call:
    """One request. ``body`` None: GET. Of calls with the same ``group`` one goes first and the others wait for its
    answer, so that the server has read what they share."""

    path: str
    body: Mapping[str, Any] | None = None
    group: Hashable = None


class _Failure(Exception):  # noqa: N818  an outcome of one try, not an error that leaves this module
    """``status``: HTTP status, 0 without one. ``pause``: seconds the server asked for."""

    def __init__(self, error: ModelError, *, passing: bool, status: int = 0, pause: float | None = None) -> None:
        super().__init__(error.code)
        self.error, self.passing, self.status, self.pause = error, passing, status, pause


class Wire:
    """A connection to the server at ``url`` (``http://host:port/v1``; the ``/v1`` may be left out).

    ``timeout_s`` bounds one try, ``retries`` counts the further ones, ``pause_s`` is the first pause between them.
    Raises UsageError JC001 (not such a URL), ModelError JC303 (client not installed), JC307 (unknown host), JC310
    (not a private address, and ``allow_remote`` is false).
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str = "",
        timeout_s: float = 120.0,
        retries: int = 4,
        concurrency: int = 8,
        allow_remote: bool = False,
        pause_s: float = 0.5,
    ) -> None:
        host, port, self.root, path = _parts(url)
        if not allow_remote:
            _stay_inside(host, port)
        self.retries, self._timeout_s, self._pause_s, self._concurrency = retries, timeout_s, pause_s, concurrency
        self._client = _client(self.root + path, api_key, timeout_s)
        self._runner = asyncio.Runner()
        self._lock = threading.Lock()
        self.closed = False

    # --------------------------------------------------------------------------------------------------- asking

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer's JSON. ``path`` is relative to ``url``, or absolute (:attr:`root`).

        Raises ModelError: JC304 (context exceeded), JC305 (the server keeps failing), JC307 (unreachable, too slow),
        JC308 (refused), JC309 (an answer that is no JSON).
        """
        (answer,) = self.ask_all([Call(path, body)])
        return answer

    def offer(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """As :meth:`ask`, but None where the server refuses or does not know the request; for finding out what it
        can do. Servers that are busy, still loading or out of reach are failures as ever."""

        async def work() -> Any:
            try:
                return await self._tries(Call(path, body), refusals=True)
            except _Failure as failure:
                if failure.status in _REFUSALS or failure.error.code in ("JC304", "JC308", "JC309"):
                    return None
                raise failure.error from None

        return self._run(work())

    def ask_all(self, calls: Sequence[Call], tell: Callable[[int, Any], None] | None = None) -> list[Any]:
        """The answers in the order of ``calls``, a bounded number of requests at a time. ``tell(index, answer)`` runs
        in the caller's thread as answers come in. The first call that fails for good ends the others."""
        return self._run(self._all(calls, tell or (lambda index, answer: None)))

    def close(self) -> None:
        """End the connections. Safe to call twice."""
        if not self.closed:
            self._run(self._client.close())
            self._runner.close()
            self.closed = True

    async def _all(self, calls: Sequence[Call], tell: Callable[[int, Any], None]) -> list[Any]:
        gate = asyncio.Semaphore(self._concurrency)
        finished: asyncio.Queue[int] = asyncio.Queue()
        leaders: dict[Hashable, asyncio.Task[Any]] = {}
        tasks: list[asyncio.Task[Any]] = []

        async def one(index: int, call: Call) -> Any:
            try:
                if (leader := leaders.get(call.group)) is not None and leader is not asyncio.current_task():
                    await asyncio.wait([leader])
                async with gate:
                    return await self._tries(call)
            finally:
                finished.put_nowait(index)

        for index, call in enumerate(calls):
            task = asyncio.ensure_future(one(index, call))
            tasks.append(task)
            if call.group is not None:
                leaders.setdefault(call.group, task)
        try:
            for _ in tasks:
                index = await finished.get()
                tell(index, await tasks[index])
        except BaseException as error:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if isinstance(error, _Failure):
                raise error.error from None
            raise
        return [task.result() for task in tasks]

    async def _tries(self, call: Call, *, refusals: bool = False) -> Any:
        """One call, tried until it succeeds or fails for good. ``refusals``: a 500 means no."""
        tried = 0
        while True:
            try:
                return await self._once(call)
            except _Failure as failure:
                asked = failure.pause or 0.0
                final = not failure.passing or tried >= self.retries or asked > LONGEST_PAUSE_S
                if final or (refusals and failure.status in _REFUSALS):
                    if tried:
                        told = failure.error
                        failure.error = ModelError(told.code, f"{told.message} ({tried + 1} tries)", hint=told.hint)
                    raise
            pause = min(LONGEST_PAUSE_S, self._pause_s * 2**tried)
            await asyncio.sleep(max(asked, pause / 2) + random.uniform(0, pause / 2))
            tried += 1

    async def _once(self, call: Call) -> Any:
        import openai

        where = f"the model server at {self.root}"
        try:
            async with asyncio.timeout(self._timeout_s):  # of the whole answer; the client's own is of each read
                if call.body is None:
                    answer = await self._client.get(call.path, cast_to=object)
                else:
                    answer = await self._client.post(call.path, cast_to=object, body=dict(call.body))
        except (TimeoutError, openai.APITimeoutError):
            error = ModelError(
                "JC307",
                f"{where} did not answer within {self._timeout_s:g} s",
                hint="it may be overloaded: raise server_timeout_s or lower server_concurrency in the settings",
            )
            raise _Failure(error, passing=True) from None
        except openai.APIStatusError as refused:
            raise _refusal(where, call.path, refused.status_code, refused.body, refused.response.headers) from None
        except openai.APIConnectionError:
            error = ModelError(
                "JC307",
                f"{where} cannot be reached, or broke off its answer",
                hint="is it running? its address is the setting server_url",
            )
            raise _Failure(error, passing=True) from None
        except (openai.APIError, ValueError):
            answer = None
        if not isinstance(answer, dict | list):
            error = ModelError(
                "JC309",
                f"{where} answers {_shown(call.path)} with something that is not JSON",
                hint="does server_url lead to an OpenAI-compatible server?",
            )
            raise _Failure(error, passing=True)
        return answer

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Drive ``work`` to its end; in a thread of its own where the caller is inside an event loop (a notebook)."""
        if self.closed or not self._lock.acquire(blocking=False):
            work.close()
            if self.closed:
                raise ModelError("JC305", "the model was closed")
            raise ModelError("JC305", "the model is in use by another thread", hint="open one model per thread")
        try:
            return self._driven(work)
        finally:
            self._lock.release()

    def _driven(self, work: Coroutine[Any, Any, T]) -> T:
        if not _inside_loop():
            return self._runner.run(work)
        from concurrent.futures import ThreadPoolExecutor

        loop = self._runner.get_loop()
        task: list[asyncio.Task[Any] | None] = []

        async def watched() -> T:
            task.append(asyncio.current_task())
            return await work

        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(lambda: self._runner.run(watched()))
            try:
                return future.result()
            except BaseException:
                if task and task[0] is not None:
                    loop.call_soon_threadsafe(task[0].cancel)
                raise


def _inside_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


_REFUSALS = frozenset({400, 404, 405, 415, 422, 500, 501})


def _refusal(where: str, path: str, status: int, body: object, headers: Mapping[str, str]) -> _Failure:
    """What an HTTP status means. Of the body only its nature is read: it may quote the request."""
    if status in (400, 413) and _OVERFLOW.search(str(body)):
        error = ModelError(
            "JC304",
            "the request exceeds the context of the model server",
            hint="split the text, or give context_tokens in the settings as large as the server's context",
        )
    elif status in (401, 403):
        error = ModelError(
            "JC308", f"{where} refuses the key (status {status})", hint="put its key into JOINTCODER_API_KEY"
        )
    elif status in PASSING:
        error = ModelError(
            "JC305",
            f"{where} {'is overloaded' if status in (429, 503, 529) else 'fails'} (status {status})",
            hint="look into its log; lower server_concurrency if it is overloaded",
        )
    elif 300 <= status < 400:
        error = ModelError("JC308", f"{where} sends {_shown(path)} elsewhere (status {status})", hint="set server_url")
    else:
        error = ModelError("JC308", f"{where} refuses {_shown(path)} (status {status})", hint="look into its log")
    return _Failure(error, passing=status in PASSING, status=status, pause=_retry_after(headers))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` asks for (RFC 9110, 10.2.3: a number or a date)."""
    import math
    import time
    from email.utils import parsedate_to_datetime

    value = headers.get("retry-after")
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _shown(path: str) -> str:
    return urlsplit(path).path


def _parts(url: str) -> tuple[str, int, str, str]:
    """Host, port, ``scheme://host:port`` and path of the setting; the setting itself is not repeated in messages,
    since people put passwords into URLs."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or parts.username or parts.query or parts.fragment:
        raise UsageError(
            "JC001",
            "server_url is not the address of a server",
            hint="it reads like http://127.0.0.1:8080/v1, without user name; a key goes into JOINTCODER_API_KEY",
        )
    shown = f"[{host}]" if ":" in host else host
    root = f"{parts.scheme}://{shown}" + (f":{port}" if port else "")
    return host, port or (443 if parts.scheme == "https" else 80), root, parts.path.rstrip("/") or "/v1"


def _stay_inside(host: str, port: int) -> None:
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        raise ModelError("JC307", f"the model server's host {host} is not known", hint="check server_url") from None
    if not all(map(is_inside, found)):
        raise ModelError(
            "JC310",
            f"{host} is not an address on the premises: notes would leave the house",
            hint="use a server on this machine or a private address; allow_remote = true in the settings permits it",
        )


def is_inside(address: str) -> bool:
    """Whether an IP address is loopback, private or link-local, so that it cannot be a host on the internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.is_loopback or any(ip.version == net.version and ip in net for net in PRIVATE)


def _client(url: str, api_key: str, timeout_s: float) -> Any:
    try:
        import openai
    except ImportError:
        raise ModelError(
            "JC303", "the client for model servers (openai) is not installed", hint="pip install 'jointcoder[http]'"
        ) from None
    import logging

    # Older clients log whole requests at level DEBUG, and with them notes.
    logging.getLogger("openai").setLevel(logging.WARNING)
    client = openai.AsyncOpenAI(
        base_url=url,
        api_key=api_key or "none",  # never OPENAI_API_KEY: that key is not this server's
        timeout=timeout_s,
        max_retries=0,
        # No proxy from the environment and no redirect: both would carry notes to places that nobody checked.
        http_client=openai.DefaultAsyncHttpxClient(trust_env=False, follow_redirects=False, timeout=timeout_s),
    )
    client.organization = client.project = None
    return client
