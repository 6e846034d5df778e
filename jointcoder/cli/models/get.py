"""``jointcoder models pull|add``: fetch a model of the manifest, or put one's own file beside them.

What is where goes to stdout, one ``name: path`` a line; how it gets there goes to stderr.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from jointcoder.cli import common
from jointcoder.cli.models.shared import Json, app
from jointcoder.errors import AssetError, UsageError, name_list


@app.command("pull")
def pull(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Models of the manifest; default: the configured.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Use only what is on this machine; ask no network.")
    ] = False,
) -> None:
    """Fetch models and verify them. Safe to repeat, resumes where it stopped."""
    from jointcoder.assets import LocalModel, known_models
    from jointcoder.cli.sources import get
    from jointcoder.settings import Settings

    settings = Settings.load()
    known = known_models(settings)
    wanted = list(dict.fromkeys(names or [settings.model]))
    for name in wanted:
        if name not in known:
            hint = f"known: {name_list(known.names())}; a file of your own: jointcoder models add FILE"
            raise AssetError("JC206", f"unknown model '{name}'", hint=hint)
        if isinstance(known[name], LocalModel):
            raise UsageError(
                "JC001", f"{name} is your own model: nobody else has it", hint="jointcoder models add FILE"
            )
    for name in wanted:
        path = get(known[name], settings, offline=offline)
        sys.stdout.write(f"model {name}: {path}  ({known[name].licence})\n")


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A GGUF file: a model or an adapter.")],
    name: Annotated[str, typer.Option("--name", help="What to call it; default: as the file.")] = "",
    move: Annotated[bool, typer.Option("--move", help="Move the file instead of copying it.")] = False,
    link: Annotated[bool, typer.Option("--link", help="Leave the file where it is and link to it.")] = False,
    licence: Annotated[str, typer.Option("--licence", help="Its licence; default: as the file says.")] = "",
    adapter_of: Annotated[
        str, typer.Option("--adapter-of", metavar="MODEL", help="The file is a LoRA adapter of this model.")
    ] = "",
    activated: Annotated[
        bool, typer.Option("--activated", help="The adapter was trained to act behind the shared prefix only.")
    ] = False,
    other_weights: Annotated[
        bool, typer.Option("--other-weights", help="The adapter was trained for other weights of the same shapes.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of what has the name now; an adapter's versions are kept.")
    ] = False,
    json_out: Json = False,
) -> None:
    """Check a GGUF file, put it into the models folder and register it: --model NAME then finds it."""
    from jointcoder.assets.register import Wish, register
    from jointcoder.cli.sources import say, tracked
    from jointcoder.settings import Settings

    if move and link:
        raise UsageError("JC001", "--move and --link exclude each other")
    if adapter_of and not name:
        raise UsageError("JC001", "an adapter needs a --name: that of the agent which it serves")
    settings = Settings.load()
    wish = Wish(
        name=name,
        how="move" if move else "link" if link else "copy",
        licence=licence,
        adapter_of=adapter_of,
        activated=activated,
        replace=replace,
        other_weights=other_weights,
    )
    with tracked(file.name, unit="bytes") as report:
        done = register(file.expanduser(), settings, wish, progress=report)
    if done.known:
        say(f"{file.name} is the manifest's {done.entry.name}, byte for byte")
    if json_out:
        facts = done.entry.model_dump(mode="json", exclude={"sources"})
        common.put_json(facts | {"path": str(done.path), "own": not done.known})
        return
    what = f"adapter {done.entry.name} of {adapter_of}" if adapter_of else f"model {done.entry.name}"
    sys.stdout.write(f"{what}: {done.path}  ({done.entry.licence})\n")
