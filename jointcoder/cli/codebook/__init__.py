"""``jointcoder codebook``: look into the code books, search, check, compare, convert and build them."""

from jointcoder.cli.codebook import check, diff, look, make, map
from jointcoder.cli.codebook.shared import app

__all__ = ["app", "check", "diff", "look", "make", "map"]
