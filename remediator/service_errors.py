"""Why something that was asked of the service is not done.

ServiceError
├── InvalidRequest   the words make no sense: 400
├── NotAllowed       this person may not: 403
├── UnknownId        there is no such thing: 404
└── NotNow           it makes sense, but not as things stand: 409
"""

from __future__ import annotations

from remediator.errors import RemediatorError


class ServiceError(RemediatorError):
    """A request that is not done. `advice` is what the person can do about it."""

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class InvalidRequest(ServiceError):
    """The words make no sense."""


class NotAllowed(ServiceError):
    """This person may not."""


class UnknownId(ServiceError):
    """There is no such thing."""


class NotNow(ServiceError):
    """It makes sense, but not as things stand."""
