"""``jointcoder accounts``: who may use the service, and the keys of programs. Works on the store, with or without a
service that runs on it; changes count from the next request on."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jointcoder.cli import common, language
from jointcoder.errors import UsageError

if TYPE_CHECKING:
    import datetime as dt

    from jointcoder.store.accounts import Account
    from jointcoder.store.engine import Store
    from jointcoder.store.keys import Key

app = typer.Typer(help="Accounts of the service, and API keys.", no_args_is_help=True, rich_markup_mode=None)
keys = typer.Typer(help="API keys: how programs sign in.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(keys, name="key")

Name = Annotated[str, typer.Argument(help="The account's name.")]
StoreOption = Annotated[str | None, typer.Option("--store", help="The service's store: a file or a URL.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
StdinOption = Annotated[bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")]
RoleOption = Annotated[list[str], typer.Option("--role", help="coder, lead, admin or service (repeatable).")]


@app.command()
def add(
    name: Name,
    role: RoleOption,
    display: Annotated[str, typer.Option("--name", help="How pages call the person.")] = "",
    tongue: Annotated[
        str, typer.Option("--language", help="Language of the pages: en, zh; default: as the browser says.")
    ] = "",
    password_stdin: StdinOption = False,
    no_password: Annotated[bool, typer.Option("--no-password", help="Signs in by key alone, as programs do.")] = False,
    store: StoreOption = None,
) -> None:
    """Make an account. The first one ends the open mode: from then on everybody has to sign in."""
    from jointcoder.store.accounts import Accounts

    if password_stdin and no_password:
        raise UsageError("JC001", "--password-stdin and --no-password exclude each other")
    with opened(store) as there:
        accounts = Accounts(there)
        first = not accounts.any()
        password = None if no_password else _password(password_stdin)
        made = accounts.add(name, roles=role, password=password, display=display, language=tongue, by=operator())
    common.say(f"account {made.name} made: {', '.join(made.roles)}")
    if first:
        common.say("from now on everybody who uses the service has to sign in")
        if "admin" not in made.roles:
            common.say("nobody may manage accounts on the pages yet; make an account with --role admin too")


@app.command("list")
def list_(store: StoreOption = None, json_out: JsonOption = False) -> None:
    """All accounts."""
    from rich.table import Table
    from rich.text import Text

    from jointcoder.store.accounts import Accounts
    from jointcoder.store.audit import Audit

    with opened(store) as there:
        found = Accounts(there).all()
        Audit(there).add(actor=operator(), action="account.list", kind="account", details={"rows": len(found)})
    if json_out:
        common.put_json([_values(one) for one in found])
        return
    table = Table()
    for column in ("account", "person", "roles", "signs in by", "state", "created"):
        table.add_column(column)
    for one in found:
        state = language.text("disabled" if one.disabled else "active")
        roles = ", ".join(one.roles)
        table.add_row(Text(one.name), Text(one.display), roles, language.text(_way(one)), state, _moment(one.created))
    common.stdout().print(table)


@app.command()
def password(name: Name, password_stdin: StdinOption = False, store: StoreOption = None) -> None:
    """Give an account another password; whoever is signed in under it has to sign in again."""
    from jointcoder.store.accounts import Accounts

    with opened(store) as there:
        accounts = Accounts(there)
        accounts.get(name)
        changed = accounts.set_password(name, _password(password_stdin), by=operator())
    common.say(f"account {changed.name} has another password; its sessions have ended")


@app.command()
def roles(name: Name, role: RoleOption, store: StoreOption = None) -> None:
    """Give an account other roles than it has."""
    from jointcoder.store.accounts import Accounts

    with opened(store) as there:
        changed = Accounts(there).set_roles(name, role, by=operator())
    common.say(f"account {changed.name} is now: {', '.join(changed.roles)}")


@app.command()
def disable(name: Name, store: StoreOption = None) -> None:
    """Shut an account: its sessions and keys stop working at once. Accounts are never deleted."""
    from jointcoder.store.accounts import Accounts

    with opened(store) as there:
        changed = Accounts(there).disable(name, by=operator())
    common.say(f"account {changed.name} is disabled")


@app.command()
def enable(name: Name, store: StoreOption = None) -> None:
    """Open a disabled account again."""
    from jointcoder.store.accounts import Accounts

    with opened(store) as there:
        changed = Accounts(there).enable(name, by=operator())
    common.say(f"account {changed.name} is active again")


@keys.command("add")
def add_key(
    name: Name,
    label: Annotated[str, typer.Option(help="What the key is for.")] = "",
    days: Annotated[int, typer.Option(help="After how many days it expires.")] = 365,
    forever: Annotated[bool, typer.Option("--forever", help="It never expires.")] = False,
    store: StoreOption = None,
) -> None:
    """Make an API key and print it. It is shown this once."""
    from jointcoder.store.keys import Keys

    with opened(store) as there:
        key, secret = Keys(there).add(name, label=label, days=None if forever else days, by=operator())
    sys.stdout.write(secret + "\n")
    until = f"it expires on {key.expires:%Y-%m-%d}" if key.expires else "it never expires"
    common.say(f"key {key.prefix} of {key.account}; {until}; it cannot be shown again")


@keys.command("list")
def list_keys(
    name: Annotated[str | None, typer.Argument(help="Only those of this account.")] = None,
    store: StoreOption = None,
    json_out: JsonOption = False,
) -> None:
    """API keys by their names; the keys themselves are not kept."""
    from rich.table import Table
    from rich.text import Text

    from jointcoder.store.keys import Keys

    with opened(store) as there:
        held = Keys(there)
        found, now = held.of(name), held.clock()
    if json_out:
        common.put_json([_values(one) | {"stands": one.stands(now)} for one in found])
        return
    table = Table()
    for column in ("key", "account", "label", "created", "expires", "last used", "state"):
        table.add_column(column)
    for one in found:
        times = [_moment(at) if at else "" for at in (one.created, one.expires, one.used)]
        table.add_row(one.prefix, Text(one.account), Text(one.label), *times, language.text(_state(one, now)))
    common.stdout().print(table)


@keys.command("revoke")
def revoke_key(
    prefix: Annotated[str, typer.Argument(help="The key's name, as `accounts key list` shows it.")],
    store: StoreOption = None,
) -> None:
    """Take a key out of use at once."""
    from jointcoder.store.keys import Keys

    with opened(store) as there:
        key = Keys(there).revoke(prefix, by=operator())
    common.say(f"key {key.prefix} of {key.account} is revoked")


@contextmanager
def opened(where: str | None) -> Iterator[Store]:
    """The store that is named, or that of the settings."""
    from jointcoder.settings import Settings
    from jointcoder.store.engine import open_store

    with open_store(Settings.load(store=where).store_place) as there:
        yield there


def operator() -> str:
    """What the audit calls whoever sits at the command line: not an account's name, which nobody has checked here."""
    import getpass

    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # no name for this user id
        return "cli:unknown"


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise UsageError("JC001", "there is no terminal to ask for the password", hint="--password-stdin")
    shown = language.text("Password")
    asked: str = typer.prompt(shown, hide_input=True, confirmation_prompt=True, err=True)
    return asked


def _way(account: Account) -> str:
    if account.issuer:
        return "provider"
    return "password" if account.has_password else "key alone"


def _state(key: Key, now: dt.datetime) -> str:
    if key.revoked:
        return "revoked"
    return "valid" if key.stands(now) else "expired"


def _moment(at: dt.datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M}"


def _values(one: Any) -> dict[str, Any]:
    return {name: _value(value) for name, value in vars(one).items()}


def _value(value: Any) -> Any:
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
