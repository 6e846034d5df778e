"""``jointcoder models``: what there is, get it, put one's own beside it, measure it."""

from jointcoder.cli.models import bench, get, look
from jointcoder.cli.models.shared import app

__all__ = ["app", "bench", "get", "look"]
