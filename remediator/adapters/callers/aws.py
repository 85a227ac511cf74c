"""The caller `rds`: snapshots and reboots of the operator's DB instances.

    ask   {"about": "instance"}                              how it is, and its snapshots
          {"about": "snapshot", "snapshot"}                  how one snapshot is
    send  {"do": "snapshot", "resource", "snapshot"}         a name that is the same however often it is sent
          {"do": "reboot", "resource", "zone", "failover"}   `zone`: where the primary was when the plan saw it

`resource` is what AWS calls the instance for good: another one may come to have the same name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from remediator.adapters.callers.aws_api import Api
from remediator.errors import Conflict, Forbidden, NotFound, ReadError, Refused, TargetGone, Unavailable
from remediator.outside_aws import RdsInstance
from remediator.ports import FIELD_MANAGER, Found

PAGE = "100"
EXISTS = ("DBSnapshotAlreadyExists", "DBSnapshotAlreadyExistsFault")

Request = Mapping[str, Any]


class RdsCaller:
    """`place` is a name of `outside.rds`."""

    def __init__(self, places: Sequence[RdsInstance]) -> None:
        self._apis = {one.name: Api(one) for one in places}

    async def close(self) -> None:
        for api in self._apis.values():
            await api.close()

    async def ask(self, place: str, request: Request) -> Any:
        """Raises: ReadError."""
        api = self._api(place)
        match request.get("about"):
            case "instance":
                return {
                    **await _instance(api),
                    **await _snapshots(api),
                    "allow": list(api.place.allow),
                    "stands_for": list(api.place.stands_for),
                }
            case "snapshot":
                return await _snapshot(api, str(request.get("snapshot")))
            case other:
                raise NotFound(f"{other!r:.40} cannot be asked of RDS")

    async def rehearse(self, place: str, request: Request) -> str:
        """RDS has no dry run: whether the instance is as planned. Raises: Refused, ReadError."""
        api = self._api(place)
        now = await _instance(api)
        try:
            _refuse(api, request, now)
        except (Conflict, TargetGone, Unavailable) as exc:
            raise Refused(str(exc)) from exc
        return ""

    async def send(self, place: str, request: Request, *, key: str) -> Mapping[str, Any]:
        """Raises: EffectError."""
        try:
            api = self._api(place)
            now = await _instance(api)
        except (NotFound, Forbidden) as exc:
            raise Refused(str(exc), forbidden=isinstance(exc, Forbidden)) from exc
        except ReadError as exc:
            raise Unavailable(f"nothing was sent: {exc}") from exc
        _refuse(api, request, now)
        if request["do"] == "reboot":
            return await _reboot(api, request)
        return await _take(api, request, key)

    async def find(self, place: str, request: Request, *, key: str) -> Found:
        """What is not to be seen yet may still come. Raises: ReadError."""
        api = self._api(place)
        if request.get("do") == "snapshot":
            try:
                found = await _snapshot(api, str(request["snapshot"]))
            except NotFound:
                return "unknown"
            return "happened" if found["resource"] in ("", request["resource"]) else "unknown"
        now = await _instance(api)
        moved = bool(request.get("failover")) and now["zone"] != request["zone"]
        same = now["resource"] == request["resource"]
        return "happened" if same and (moved or now["status"] == "rebooting") else "unknown"

    def _api(self, place: str) -> Api:
        """Raises: NotFound."""
        found = self._apis.get(place)
        if found is None:
            raise NotFound(f"outside.rds has no {place!r:.80}; there are: {', '.join(sorted(self._apis)) or 'none'}")
        return found


def _refuse(api: Api, request: Request, now: Mapping[str, Any]) -> None:
    """Raises: Refused, TargetGone, Conflict, Unavailable unless the instance is still what the plan saw."""
    do, name = request.get("do"), api.place.instance
    if do not in api.place.allow:
        raise Refused(f"outside.rds[{api.place.name}].allow has no {do!r:.40}")
    if now["resource"] != request["resource"]:
        raise TargetGone(f"{name} is another instance by now")
    if now["status"] != "available":
        raise Unavailable(f"{name} is {now['status']}")
    if do == "reboot" and now["zone"] != request["zone"]:
        raise Conflict(f"{name} is in {now['zone']} by now, not in {request['zone']}: it has failed over")
    if do == "reboot" and request["failover"] and not now["multi_az"]:
        raise Refused(f"{name} has no standby in another zone to fail over to")


async def _take(api: Api, request: Request, key: str) -> Mapping[str, Any]:
    """Raises: EffectError."""
    name = str(request["snapshot"])
    tags = {
        "Tags.Tag.1.Key": "made-by",
        "Tags.Tag.1.Value": FIELD_MANAGER,
        "Tags.Tag.2.Key": "effect",
        "Tags.Tag.2.Value": key[:250],
    }
    code, said = await api.send(
        "CreateDBSnapshot", DBInstanceIdentifier=api.place.instance, DBSnapshotIdentifier=name, **tags
    )
    if code in EXISTS and await _is_of(api, name, str(request["resource"])):
        return {"snapshot": name, "already": True, "says": f"snapshot {name} is there already"}
    if code:
        raise Refused(said)
    return {"snapshot": name, "says": f"snapshot {name} was begun"}


async def _is_of(api: Api, name: str, resource: str) -> bool:
    try:
        found = await _snapshot(api, name)
    except ReadError:
        return False
    return bool(found["instance"] == api.place.instance and found["resource"] in ("", resource))


async def _reboot(api: Api, request: Request) -> Mapping[str, Any]:
    """Raises: EffectError."""
    how = "true" if request["failover"] else "false"
    code, said = await api.send("RebootDBInstance", DBInstanceIdentifier=api.place.instance, ForceFailover=how)
    if code:
        raise Refused(said)
    return {"says": f"{api.place.instance} reboots{' with a failover' if request['failover'] else ''}"}


async def _instance(api: Api) -> dict[str, Any]:
    """Raises: ReadError."""
    root = await api.read("DescribeDBInstances", DBInstanceIdentifier=api.place.instance)
    found = root.find(".//DBInstances/DBInstance")
    if found is None:
        raise NotFound(f"RDS knows no instance {api.place.instance}")
    return {
        "instance": _text(found, "DBInstanceIdentifier"),
        "resource": _text(found, "DbiResourceId"),
        "status": _text(found, "DBInstanceStatus"),
        "engine": f"{_text(found, 'Engine')} {_text(found, 'EngineVersion')}".strip(),
        "multi_az": _text(found, "MultiAZ") == "true",
        "zone": _text(found, "AvailabilityZone"),
        "standby_zone": _text(found, "SecondaryAvailabilityZone"),
        "cluster": _text(found, "DBClusterIdentifier"),
        "replica_of": _text(found, "ReadReplicaSourceDBInstanceIdentifier"),
        "storage_gib": int(_text(found, "AllocatedStorage") or 0),
        "waiting": len(found.findall("PendingModifiedValues/*")) > 0,
    }


async def _snapshots(api: Api) -> dict[str, Any]:
    """How many of its manual snapshots there are, at least. Raises: ReadError."""
    root = await api.read(
        "DescribeDBSnapshots", DBInstanceIdentifier=api.place.instance, SnapshotType="manual", MaxRecords=PAGE
    )
    found = root.findall(".//DBSnapshots/DBSnapshot")
    busy = [_text(one, "DBSnapshotIdentifier") for one in found if _text(one, "Status") == "creating"]
    return {"snapshots": len(found), "more_snapshots": bool(root.findtext(".//Marker")), "under_way": busy[:10]}


async def _snapshot(api: Api, name: str) -> dict[str, Any]:
    """Raises: ReadError."""
    root = await api.read("DescribeDBSnapshots", DBSnapshotIdentifier=name)
    found = root.find(".//DBSnapshots/DBSnapshot")
    if found is None:
        raise NotFound(f"RDS knows no snapshot {name}")
    return {
        "snapshot": name,
        "instance": _text(found, "DBInstanceIdentifier"),
        "resource": _text(found, "DbiResourceId"),
        "status": _text(found, "Status"),
        "percent": _text(found, "PercentProgress"),
    }


def _text(found: Element, name: str) -> str:
    return (found.findtext(name) or "").strip()[:200]
