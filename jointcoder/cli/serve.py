"""``jointcoder serve``: the REST service and the coder's desk in a browser, until it is interrupted.

Binds to this machine only unless told otherwise, and to another address only where accounts have been made. The address
goes to stdout when it answers; what happens goes to stderr, without paths, queries or any text of a record.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common
from jointcoder.errors import JointCoderError, UsageError

if TYPE_CHECKING:
    from jointcoder.settings import Settings

GRACE_S = 10  # that open answers have to end
_HINT = "pip install 'jointcoder[server]'"


def serve(
    host: Annotated[str | None, typer.Option(help="Address to bind to; another than 127.0.0.1 needs accounts.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 takes one that is free.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Coders side by side, each with a model of its own.")
    ] = None,
    store: Annotated[str | None, typer.Option(help="Store: a file or the URL of a database.")] = None,
    workflow: Annotated[str | None, typer.Option(help="Workflow name or TOML file.")] = None,
    model: Annotated[str | None, typer.Option(help="Model name or path to a GGUF file.")] = None,
    no_model: Annotated[
        bool, typer.Option("--no-model", help="Code without a model: the same as --workflow lexical.")
    ] = False,
    book: Annotated[str | None, typer.Option("--book", "--code-book", help="Code book id or folder.")] = None,
    pack: Annotated[str | None, typer.Option(help="Learned pack: name or folder.")] = None,
    allow_python: Annotated[bool, typer.Option("--allow-python", help=common.PYTHON_HELP)] = False,
) -> None:
    """Serve coding by REST and the coder's desk as web pages."""
    from jointcoder.settings import Settings

    if no_model and workflow is not None:
        raise UsageError("JC001", "--no-model and --workflow exclude each other")
    settings = Settings.load(
        host=host,
        port=port,
        workers=workers,
        store=store,
        workflow="lexical" if no_model else workflow,
        model=model,
        code_book=book,
        pack=pack,
        allow_python=allow_python or None,
    )
    _require_packages()
    _require_safe(settings)
    _logged()
    _run(settings)


def _require_packages() -> None:
    from importlib.util import find_spec

    missing = [
        name for name in ("fastapi", "uvicorn", "sqlalchemy", "argon2", "prometheus_client") if not find_spec(name)
    ]
    if missing:
        raise UsageError("JC002", f"the service needs the packages {', '.join(missing)}", hint=_HINT)


def _require_safe(settings: Settings) -> None:
    """Refuses a public address without accounts (JC476), and what cannot be served at all, before anything is bound."""
    from jointcoder.codebook.editions import Editions
    from jointcoder.server.auth import require_safe_bind
    from jointcoder.store.accounts import Accounts
    from jointcoder.store.engine import open_store
    from jointcoder.workflow.check import plan, require_allowed
    from jointcoder.workflow.spec import load_workflow

    require_allowed(plan(load_workflow(settings.workflow)), allow_python=settings.allow_python)
    Editions.open(settings)
    with open_store(settings.store_place) as opened:
        require_safe_bind(settings.host, Accounts(opened), settings)


def _run(settings: Settings) -> None:
    import uvicorn

    from jointcoder.server.app import create_app

    app = create_app(settings)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # it would write paths and queries, which may hold words of a note
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=GRACE_S,
        lifespan="on",
    )
    sockets = [_bound(settings.host, settings.port)]
    address = sockets[0].getsockname()
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]

    class Announced(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets=sockets)
            if self.started:
                sys.stdout.write(f"http://{shown}:{address[1]}\n")
                sys.stdout.flush()

    server = Announced(config)
    server.run(sockets=sockets)
    if not server.started:
        failed: JointCoderError | None = getattr(app.state, "failed", None)
        raise failed or JointCoderError("JC489", "the service could not start", hint="see `jointcoder doctor`")


def _bound(host: str, port: int) -> Any:
    """A listening socket. UsageError JC486."""
    import socket

    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, place = found[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(place)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(
            "JC486", f"{host}, port {port}: {reason}", hint="name another with --host and --port"
        ) from None
    return listening


class _Quiet(logging.Formatter):
    """Lines without tracebacks: the text of an exception may quote a note. The type of one is told."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 (logging's name)
        return f"({ei[0].__name__})" if ei[0] is not None else ""

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        return ""


def _logged() -> None:
    """What happens goes to stderr, a line each; with --quiet errors only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: not record.getMessage().startswith("Traceback"))  # of a failed start: told once
    handler.setFormatter(_Quiet("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.ERROR if common.OPTIONS.quiet else logging.WARNING)
    for name in ("jointcoder", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.ERROR if common.OPTIONS.quiet else logging.INFO)
