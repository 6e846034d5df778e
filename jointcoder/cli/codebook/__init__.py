"""``jointcoder codebook``: look into the code books, search, check, compare, convert and build them."""

from jointcoder.cli.codebook import look, make
from jointcoder.cli.codebook.shared import app

__all__ = ["app", "look", "make"]
