"""``python -m jointcoder``."""

from jointcoder.cli.main import run

run()
