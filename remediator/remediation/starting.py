"""Starts a playbook without an alert: because a person asks for it, or because its time has come.

From here on there is no difference: it is planned, guarded, approved, verified and told like any other. It is opened
with its playbook already chosen, so that no alert that comes meanwhile can turn it into something else; alerts of the
same object may join it later, if the playbook is theirs as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from remediator.alerts.names import name_problem
from remediator.errors import RemediatorError
from remediator.objects import KINDS, ObjectRef
from remediator.playbooks.catalog import Catalog
from remediator.playbooks.params import InvalidParam, resolve_params
from remediator.playbooks.problems import did_you_mean
from remediator.ports import Clock
from remediator.remediation.aim import NO_WISH, Start
from remediator.remediation.chooser import Chooser
from remediator.remediation.decide import decide
from remediator.remediation.events import Chosen
from remediator.remediation.journal import Journal
from remediator.remediation.state import Candidate, Remediation, State


class CannotStart(RemediatorError):
    """What was asked for makes no sense, or the playbook does not allow it; nothing is on record."""


class NotForPeople(CannotStart):
    """Its owner has not said that people may start it."""


class NoSuchPlaybook(CannotStart):
    """None of that name is in force."""


class CannotSeeYet(CannotStart):
    """Something could not be read: the same may go well in a moment."""


class StartedOtherwise(CannotStart):
    """The key of this request belongs to another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person asks for. `who` is kept as the requester, who cannot approve it.

    `key` makes asking twice the same as asking once; it counts per account.
    """

    playbook: str
    who: str
    account: str = ""
    start: Start = field(default=NO_WISH)
    why: str = ""
    key: str = ""


class Starter:
    """`poke` wakes the runner."""

    def __init__(
        self,
        *,
        journal: Journal,
        catalog: Callable[[], Catalog],
        chooser: Chooser,
        clock: Clock,
        new_id: Callable[[], str],
        poke: Callable[[], None],
    ) -> None:
        self._journal = journal
        self._catalog = catalog
        self._chooser = chooser
        self._clock = clock
        self._new_id = new_id
        self._poke = poke

    async def by_person(self, wish: Wish) -> Remediation:
        """Open it; it is durable when this returns. Raises: CannotStart, JournalUnavailable."""
        _check(self._catalog(), wish)
        made = _id_of(wish) if wish.key else self._new_id()
        if wish.key and (known := await self._journal.get(made)) is not None:
            return _the_same(known, wish)
        why = f": {wish.why}" if wish.why else ""
        cause = f"{wish.who} asked for it{why}"
        r = replace(self._blank(made, wish.playbook, cause), requester=wish.who)
        opened = await self._journal.open(await self._chosen(r, wish.start), self._clock.now())
        assert opened is not None  # only those that still gather can be in each other's way
        self._poke()
        return opened

    async def at_its_time(self, playbook: str, cause: str) -> Remediation:
        """What is to be opened because a schedule says so. What cannot be aimed or seen is opened all the same: there
        it is denied or held, explained and told. Raises: JournalUnavailable."""
        blank = self._blank(self._new_id(), playbook, cause)
        try:
            return await self._chosen(blank, NO_WISH)
        except CannotStart:
            return blank

    def _blank(self, made: str, playbook: str, cause: str) -> Remediation:
        """Not chosen yet. Its root is nothing that an alert could lead to: none may join it before it is chosen."""
        now = self._clock.now()
        return Remediation(
            id=made,
            episode="",
            cluster=self._chooser.home,
            target=None,
            root=ObjectRef("Playbook", "", playbook),
            created_at=now,
            state=State.RECEIVED,
            since=now,
            due=now,
            candidates=(Candidate(playbook=playbook),),
            cause=cause,
            reason=cause,
        )

    async def _chosen(self, r: Remediation, start: Start) -> Remediation:
        """The same with its playbook and target. Raises: CannotStart, JournalUnavailable."""
        event = await self._chooser.choose(r, (), start)
        if isinstance(event, Chosen):
            return replace(decide(r, event, self._clock.now()).remediation, version=0, reason=r.reason)
        verdicts = getattr(event, "verdicts", ())
        said = "; ".join(v.reason for v in verdicts) or getattr(event, "reason", "")
        raise (CannotSeeYet if any(v.cannot_see for v in verdicts) else CannotStart)(said)


def parse_target(text: str) -> ObjectRef:
    """`Deployment/shop/api`, or `Node/worker-1` for what lies in no namespace. Raises: CannotStart."""
    kind, *rest = text.strip().split("/")
    if kind not in KINDS:
        raise CannotStart(f"target: unknown kind {kind!r:.60}. {did_you_mean(kind, KINDS)}")
    wanted = 2 if KINDS[kind].namespaced else 1
    if len(rest) != wanted:
        raise CannotStart(f"target: write it as {kind}/{'namespace/name' if wanted == 2 else 'name'}, not {text!r:.80}")
    namespace, name = rest if wanted == 2 else ("", rest[0])
    for of_kind, part in (("Namespace", namespace), (kind, name))[2 - wanted :]:
        if problem := name_problem(of_kind, part):
            raise CannotStart(f"target: {part!r:.80} is {problem}")
    return ObjectRef(kind, namespace, name)


def _check(catalog: Catalog, wish: Wish) -> None:
    """Raises: CannotStart."""
    loaded = catalog.get(wish.playbook)
    if loaded is None:
        known = [one.playbook.name for one in catalog if one.playbook.manual]
        raise NoSuchPlaybook(f"no playbook is called {wish.playbook!r:.80}. {did_you_mean(wish.playbook, known)}")
    if not loaded.playbook.manual:
        raise NotForPeople(f"{wish.playbook} is not for people to start; its owner can write manual: true into it")
    try:
        resolve_params(loaded.playbook.params, dict(wish.start.params))
    except InvalidParam as exc:
        raise CannotStart(str(exc)) from exc


def _id_of(wish: Wish) -> str:
    """The same for the same account and key, so that the store knows it again."""
    text = "\n".join(("run", wish.account or wish.who, wish.key))
    return f"r-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _the_same(known: Remediation, wish: Wish) -> Remediation:
    """What the key stands for. Raises: StartedOtherwise."""
    given: Mapping[str, str] = known.spec.given if known.spec else {}
    if known.playbook != wish.playbook or dict(given) != dict(wish.start.params):
        raise StartedOtherwise(f"this key has started {known.id} ({known.playbook}) with other words; use another key")
    return known
