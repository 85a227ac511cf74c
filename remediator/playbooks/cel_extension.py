"""The CEL library's compiled part, without the command line that its package imports.

`import cel` pulls in typer, rich and prompt-toolkit (11 MB and 0.2 s), of which an evaluation needs nothing. So the
extension module inside the package is loaded by itself, under the name it has there: it panics when it is initialised
twice in one process, and so a later `import cel` finds it. Where that fails (another layout in a later version) the
whole package is imported instead: heavier, but the same functions.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from importlib.machinery import PathFinder
from typing import Any

# The extension logs every error of a Python function it calls, with its arguments; we raise the same error ourselves.
logging.getLogger("cel").setLevel(logging.CRITICAL + 1)


_NAME = "cel.cel"


def load_extension() -> Any:
    """The module with `compile`, `Context` and `Program`."""
    if _NAME in sys.modules:
        return sys.modules[_NAME]
    package = importlib.util.find_spec("cel")
    found = PathFinder.find_spec("cel", list(package.submodule_search_locations or ())) if package else None
    spec = importlib.util.spec_from_file_location(_NAME, found.origin) if found and found.origin else None
    if spec is None or spec.loader is None:
        return importlib.import_module("cel")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_NAME] = module
    spec.loader.exec_module(module)
    return module


extension = load_extension()
