"""`backup_status`: the last good backup of everything that is backed up, and what has failed since.

Velero's schedules, CloudNativePG's clusters, Longhorn's volumes, and the CronJobs that make snapshots of etcd. Only a
backup that its system calls complete is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from remediator.objects import Object, dig, labels_of
from remediator.playbooks.fields import PositiveDuration
from remediator.remediation.checks.base import CheckContext, one_line
from remediator.remediation.collectors.base import CollectorKind, Evidence
from remediator.remediation.collectors.reading import (
    Part,
    ScopedArgs,
    age,
    count,
    hand_over,
    namespaces_of,
    place_of,
    read,
    time_of,
    where,
    word,
)

NAME = "backup_status"


class BackupArgs(ScopedArgs):
    """`older_than`: an older last good backup is too old. `cronjobs`: part of the name of CronJobs that are backups."""

    namespace: Annotated[str, Field(max_length=63)] = "*"
    older_than: PositiveDuration = timedelta(hours=26)
    cronjobs: Annotated[tuple[Annotated[str, Field(min_length=3, max_length=52)], ...], Field(max_length=5)] = (
        "etcd-snapshot",
        "backup",
    )


@dataclass(frozen=True, slots=True)
class Backup:
    """One attempt. `of`: what it is a backup of."""

    system: str
    of: str
    at: datetime | None
    phase: str
    good: bool
    running: bool
    why: str = ""


BY_HAND = "by hand"
"""Backups that no schedule asks for: nobody waits for the next one."""

_VELERO_RUNS = ("New", "Queued", "ReadyToStart", "InProgress", "Finalizing", "WaitingForPluginOperations")
_CNPG_RUNS = ("", "pending", "started", "running", "finalizing")
_LONGHORN_RUNS = ("", "New", "Pending", "InProgress")


async def collect(args: BackupArgs, context: CheckContext) -> Evidence:
    """Everything that is backed up, the worst first. Systems that are not installed are named and count for nothing."""
    spaces = namespaces_of(args, context)
    kinds = (
        "Backup.velero.io",
        "Schedule.velero.io",
        "Backup.postgresql.cnpg.io",
        "ScheduledBackup.postgresql.cnpg.io",
        "Backup.longhorn.io",
        "CronJob",
    )
    parts = dict(zip(kinds, await asyncio.gather(*(read(context, kind, spaces) for kind in kinds)), strict=True))
    crons = [c for c in parts["CronJob"].items if any(text in where(c) for text in args.cronjobs)]
    found = [
        *map(_velero, parts["Backup.velero.io"].items),
        *map(_cnpg, parts["Backup.postgresql.cnpg.io"].items),
        *map(_longhorn, parts["Backup.longhorn.io"].items),
        *map(_cron, crons),
    ]
    planned = [
        *(("Velero", f"schedule {where(s)}", _paused(s, "paused")) for s in parts["Schedule.velero.io"].items),
        *(
            ("CloudNativePG", _cluster(s), _paused(s, "suspend"))
            for s in parts["ScheduledBackup.postgresql.cnpg.io"].items
        ),
        *(("CronJob", where(c), _paused(c, "suspend")) for c in crons),
    ]
    rows = _rows(found, planned, args, context)
    bad, stale = sum(r["failed"] for r in rows), sum(r["too_old"] for r in rows)
    return hand_over(
        NAME,
        context,
        title=f"backups {place_of(spaces)}",
        lines=[str(r["told"]) for r in rows],
        summary=f"{count(len(rows), 'backed up thing')}: {stale} without a good backup in time, {bad} failed last"
        if rows
        else "nothing is backed up as far as can be seen",
        parts=_told_once(parts),
        rows=rows,
        private=True,
    )


def _told_once(parts: Mapping[str, Part]) -> Sequence[Part]:
    """One sentence for each system that is not installed, not one for each of its kinds."""
    groups: dict[str, Part] = {}
    for kind, part in parts.items():
        group = kind.partition(".")[2]
        if part.installed:
            groups[kind] = part
        else:
            groups.setdefault(group, part)
    return list(groups.values())


def _paused(obj: Object, key: str) -> bool:
    return bool(dig(obj, "spec", key))


def _velero(obj: Object) -> Backup:
    schedule = labels_of(obj).get("velero.io/schedule-name")
    namespace = dig(obj, "metadata", "namespace")
    phase = word(dig(obj, "status", "phase") or "New", 40)
    errors = int(dig(obj, "status", "errors") or 0)
    return Backup(
        system="Velero",
        of=f"schedule {namespace}/{one_line(str(schedule), 63)}" if schedule else f"{namespace} {BY_HAND}",
        at=time_of(dig(obj, "status", "completionTimestamp") or dig(obj, "metadata", "creationTimestamp")),
        phase=phase,
        good=phase == "Completed",
        running=phase.startswith(_VELERO_RUNS),
        why=one_line(str(dig(obj, "status", "failureReason") or (f"{errors} errors" if errors else "")), 150),
    )


def _cluster(obj: Object) -> str:
    return f"cluster {dig(obj, 'metadata', 'namespace')}/{word(dig(obj, 'spec', 'cluster', 'name'), 253)}"


def _cnpg(obj: Object) -> Backup:
    phase = str(dig(obj, "status", "phase") or "")
    return Backup(
        system="CloudNativePG",
        of=_cluster(obj),
        at=time_of(dig(obj, "status", "stoppedAt") or dig(obj, "metadata", "creationTimestamp")),
        phase=word(phase, 40),
        good=phase == "completed",
        running=phase in _CNPG_RUNS,
        why=one_line(str(dig(obj, "status", "error") or ""), 150),
    )


def _longhorn(obj: Object) -> Backup:
    state = str(dig(obj, "status", "state") or "")
    volume = dig(obj, "status", "volumeName") or labels_of(obj).get("backup-volume")
    return Backup(
        system="Longhorn",
        of=f"volume {word(volume, 63)}",
        at=time_of(dig(obj, "status", "backupCreatedAt") or dig(obj, "metadata", "creationTimestamp")),
        phase=word(state, 40),
        good=state == "Completed",
        running=state in _LONGHORN_RUNS,
        why=one_line(str(dig(obj, "status", "error") or ""), 150),
    )


def _cron(obj: Object) -> Backup:
    """A CronJob remembers its last success and its last start, nothing else."""
    good, begun = (time_of(dig(obj, "status", key)) for key in ("lastSuccessfulTime", "lastScheduleTime"))
    running = bool(dig(obj, "status", "active"))
    late = good is None or (begun is not None and begun > good)
    phase = "running" if running else "no success since its last start" if late else "succeeded"
    return Backup("CronJob", where(obj), good or begun, phase, good=good is not None, running=running and good is None)


def _rows(
    found: Iterable[Backup], planned: Iterable[tuple[str, str, bool]], args: BackupArgs, context: CheckContext
) -> list[dict[str, Any]]:
    """One row for each thing: its last good backup, and how the last one ended."""
    by_thing: dict[tuple[str, str], list[Backup]] = {}
    for one in found:
        by_thing.setdefault((one.system, one.of), []).append(one)
    paused: set[tuple[str, str]] = set()
    for system, of, is_paused in planned:
        by_thing.setdefault((system, of), [])
        if is_paused:
            paused.add((system, of))
    rows = [_row(thing, tries, thing in paused, args, context) for thing, tries in by_thing.items()]
    return sorted(rows, key=lambda r: (not r["too_old"], not r["failed"], r["system"], r["of"]))


def _row(
    thing: tuple[str, str], tries: Sequence[Backup], paused: bool, args: BackupArgs, context: CheckContext
) -> dict[str, Any]:
    oldest = datetime.min.replace(tzinfo=context.now.tzinfo)
    ordered = sorted(tries, key=lambda b: b.at or oldest)
    good = next((b for b in reversed(ordered) if b.good and b.at), None)
    ended = next((b for b in reversed(ordered) if not b.running), None)
    failed = ended is not None and not ended.good
    too_old = not thing[1].endswith(BY_HAND) and (
        good is None or good.at is None or context.now - good.at > args.older_than
    )
    told = f"{thing[0]} {thing[1]}: "
    told += f"last good {age(context.now, good.at)} ago" if good else "no good backup"
    if failed and ended is not None:
        told += f", last one {ended.phase} {age(context.now, ended.at)} ago{': ' + ended.why if ended.why else ''}"
    elif ended is not None and thing[0] == "CronJob" and ended.phase != "succeeded":
        told += f", {ended.phase}"
    if any(b.running for b in ordered[-1:]):
        told += f", one is {ordered[-1].phase}"
    if paused:
        told += ", its schedule is paused"
    return {
        "system": thing[0],
        "of": thing[1],
        "last_good": good.at.isoformat() if good and good.at else None,
        "failed": failed,
        "too_old": too_old,
        "paused": paused,
        "told": told,
    }


KIND = CollectorKind(NAME, BackupArgs, collect)
