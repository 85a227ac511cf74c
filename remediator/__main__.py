"""`python -m remediator` and the `remediator` command."""

from __future__ import annotations

from remediator.cli.main import app


def main() -> None:
    """Runs one command and exits with its code."""
    app()


if __name__ == "__main__":
    main()
