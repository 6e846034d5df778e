"""The commands of ``python -m jointcoder.finetune``: one module a command or group of commands.

A module here that defines ``register(app: typer.Typer) -> None`` adds its commands; nothing else has to be changed.
It imports what is heavy inside the functions, so that ``--help`` stays quick.
"""
