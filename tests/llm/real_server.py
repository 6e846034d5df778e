"""Starts llama-cpp-python's own server: ``python -m tests.llm.real_server CONFIG``.

The server has no option for ``use_extra_bufts``, without which a default build dies at its first decode on machines
with AMX, so the default is changed before the server loads a model. Nothing else differs from ``llama_cpp.server``.
"""

from __future__ import annotations

import sys
from typing import Any

import llama_cpp.llama_cpp as api
from llama_cpp.server.__main__ import main

_plain = api.llama_model_default_params


def _careful() -> Any:
    parameters = _plain()
    parameters.use_extra_bufts = False
    return parameters


if __name__ == "__main__":
    api.llama_model_default_params = _careful
    sys.argv = ["llama_cpp.server", "--config_file", sys.argv[1]]
    main()
