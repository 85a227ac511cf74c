"""What can go wrong before a test has a control plane."""

from __future__ import annotations


class NoControlPlane(RuntimeError):
    """This machine lacks what it takes to build one: tests are skipped, not failed. The text says what to install."""


class BuildFailed(RuntimeError):
    """The Go tool is there and could not build a program: a failure, never a reason to skip."""
