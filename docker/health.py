"""Health check of the container: exit code 0 while the service answers at /health/live.

Asks 127.0.0.1, at the port of JOINTCODER_PORT (8417). Needs nothing but Python: the image has no curl.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request

TIMEOUT_S = 4


def main() -> int:
    port = os.environ.get("JOINTCODER_PORT", "8417")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy of the house is not asked
    try:
        with direct.open(f"http://127.0.0.1:{port}/health/live", timeout=TIMEOUT_S) as answer:
            return 0 if answer.status == 200 else 1
    except (OSError, urllib.error.URLError):
        return 1


if __name__ == "__main__":
    sys.exit(main())
