"""The CEL library's compiled part, without the command line that its package imports.

`import cel` pulls in typer, rich and prompt-toolkit (11 MB and 0.2 s), of which an evaluation needs nothing. So the
extension module inside the package is loaded by itself. Where that fails (another layout in a later version) the whole
package is imported instead: heavier, but the same functions.
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


def load_extension() -> Any:
    """The module with `compile`, `Context` and `Program`."""
    if "cel" in sys.modules:
        return sys.modules["cel"]
    package = importlib.util.find_spec("cel")
    if package is not None and package.submodule_search_locations:
        spec = PathFinder.find_spec("cel", list(package.submodule_search_locations))
        if spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    return importlib.import_module("cel")


extension = load_extension()
