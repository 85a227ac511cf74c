"""`python -m tests.support.controlplane build [program ...]`: build what is not in the cache yet.

Prints one line per program with the seconds it took. Exit code 3 means that Go is missing, so that a Makefile can tell
"cannot be built here" from "does not build" (1).
"""

from __future__ import annotations

import sys

from tests.support.controlplane.errors import BuildFailed, NoControlPlane
from tests.support.controlplane.programs import PROGRAMS, ensure, in_assets


def main(arguments: list[str]) -> int:
    names = {program.name for program in PROGRAMS}
    if arguments[:1] != ["build"] or not names.issuperset(arguments[1:]):
        print(f"usage: python -m tests.support.controlplane build [{' | '.join(sorted(names))} ...]", file=sys.stderr)
        return 2
    for program in PROGRAMS:
        if arguments[1:] and program.name not in arguments[1:]:
            continue
        if in_assets(program):
            print(f"{program.name}: from KUBEBUILDER_ASSETS", flush=True)
            continue
        try:
            _, seconds = ensure(program)
        except NoControlPlane as exc:
            print(exc, file=sys.stderr)
            return 3
        except BuildFailed as exc:
            print(exc, file=sys.stderr)
            return 1
        print(f"{program.name}: {f'built in {seconds:.0f} s' if seconds else 'in the cache'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
