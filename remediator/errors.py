"""Everything remediator raises on purpose.

    RemediatorError
    ├── InvalidWebhook       the sender's fault: answer 400
    ├── InvalidPlaybook      the author's fault: that playbook stays on its last good version
    ├── InvalidConfig        the operator's fault: refuse to start, name the field
    ├── JournalUnavailable   the store did not take it: answer 503, act on nothing
    ├── ReadError            a question to the outside got no usable answer
    │   ├── NotFound         it does not exist
    │   ├── Forbidden        we may not look
    │   └── CannotSee        timeout, 5xx, garbage, partial, stale: unknown, so do nothing
    └── EffectError          a write did not simply succeed; turned into an Outcome in one place
        ├── Refused          permanent: 400, 403, 422, admission denied: nothing was done
        ├── TargetGone       404, or another uid under the same name: nothing left to act on
        ├── Conflict         409: a precondition did not hold, nothing was done, look again
        ├── Unavailable      nothing was done, try later: 429, connection refused
        └── Uncertain        a write timed out or got a 5xx: maybe done, so probe before any other attempt

Two questions pick the class: is it worth trying again, and whose fault is it. Adapters translate vendor errors with
``raise Refused(...) from exc``; a test asserts that none leaks.
"""

from __future__ import annotations


class RemediatorError(Exception):
    """Base of every error that remediator raises on purpose."""


class InvalidWebhook(RemediatorError):
    """A webhook body that cannot be read; the message names the field."""


class InvalidPlaybook(RemediatorError):
    """A playbook that cannot be loaded; the message names file, field and the next step."""


class InvalidConfig(RemediatorError):
    """A configuration that cannot be used; the message names the field and the next step."""


class JournalUnavailable(RemediatorError):
    """The store is down, full, read-only or unsure whether it committed."""


class ReadError(RemediatorError):
    """A read from cluster, Prometheus or Alertmanager gave no usable answer."""


class NotFound(ReadError):
    """The object does not exist."""


class Forbidden(ReadError):
    """We have no permission to look."""


class CannotSee(ReadError):
    """Timeout, 5xx, garbage, a partial or stale answer: unknown, which is never the same as unhealthy."""


class EffectError(RemediatorError):
    """A write that did not simply succeed."""


class Refused(EffectError):
    """The other side said no for good; nothing was done. `forbidden` marks a missing permission (403)."""

    def __init__(self, message: str, *, forbidden: bool = False) -> None:
        super().__init__(message)
        self.forbidden = forbidden


class TargetGone(EffectError):
    """The object, or the object with that uid, is not there any more; nothing was done."""


class Conflict(EffectError):
    """A precondition (uid, resourceVersion) did not hold; nothing was done."""


class Unavailable(EffectError):
    """Nothing was done and a later try may pass. `disruption_budget` is set when a PDB said no."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, disruption_budget: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.disruption_budget = disruption_budget


class Uncertain(EffectError):
    """No answer, or one that does not tell: the write may have happened or may still happen."""
