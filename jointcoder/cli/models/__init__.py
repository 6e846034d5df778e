"""``jointcoder models``: what there is, get it, put one's own beside it, measure it, go back to an earlier adapter."""

from jointcoder.cli.models import bench, get, look, roll
from jointcoder.cli.models.shared import app

__all__ = ["app", "bench", "get", "look", "roll"]
