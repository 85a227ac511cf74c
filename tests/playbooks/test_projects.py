"""Projects: what a configuration may say, what a playbook of a project may say, and whose alerts it takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.config import Config, load_config
from remediator.errors import CannotSee, InvalidConfig
from remediator.objects import ObjectRef
from remediator.playbooks.catalog import Catalog
from remediator.playbooks.config_maps import ConfigMapFiles
from remediator.playbooks.folder import Folder
from remediator.playbooks.model import Playbook
from remediator.playbooks.projects import (
    GATED,
    Project,
    UnknownProject,
    in_project,
    objections,
    project_named,
    unknown_actions,
    uses,
)
from remediator.playbooks.reload import PlaybookFolder
from remediator.ports import ObjectList
from tests.playbooks.registry import ACTIONS, CHECKS, load, make, make_alert, text_of
from tests.playbooks.test_reload import Saved, names


def project(name: str = "shop", **changes: Any) -> Project:
    return Project.model_validate(
        {
            "name": name,
            "playbooks": {"folders": [f"/playbooks/{name}"]},
            "clusters": ["c1"],
            "namespaces": [name, f"{name}-*"],
            **changes,
        }
    )


def config(*projects: dict[str, Any], **changes: Any) -> Config:
    return Config.model_validate(
        {
            "sources": [
                {"name": "prod", "auth": "none", "cluster": "c1"},
                {"name": "staging", "tokens": [{"value": "x"}], "cluster": "c2"},
                {
                    "name": "central",
                    "tokens": [{"value": "y"}],
                    "cluster_label": "k8s",
                    "allow": {"k8s": ["c2", "c3"]},
                },
            ],
            "clusters": [{"name": name, "in_cluster": True} for name in ("c1", "c2", "c3")],
            "projects": [
                {"playbooks": {"folders": [f"/{p['name']}"]}, "clusters": ["c1"], "namespaces": [p["name"]], **p}
                for p in projects
            ],
            **changes,
        }
    )


class TestConfiguration:
    def test_without_projects_there_are_none(self):
        assert config().projects == ()
        assert project_named("", ()) is None

    def test_two_teams(self):
        """Patterns that never meet, or meet in different clusters only."""
        found = config(
            {"name": "shop", "namespaces": ["shop", "shop-*"], "sources": ["prod"]},
            {"name": "pay", "namespaces": ["pay-*", "shopping"], "clusters": ["c1", "c2"]},
            {"name": "lab", "namespaces": ["*"], "clusters": ["c3"], "sources": ["central"]},
        )
        assert [p.name for p in found.projects] == ["shop", "pay", "lab"]

    @pytest.mark.parametrize(
        ("projects", "says"),
        [
            pytest.param(
                [{"name": "shop", "namespaces": ["team-*"]}, {"name": "pay", "namespaces": ["x", "*-prod"]}],
                "projects shop (team-*) and pay (*-prod) both claim namespace team-prod in cluster c1; "
                "a namespace belongs to one project",
                id="overlap of patterns",
            ),
            pytest.param(
                [
                    {"name": "shop", "namespaces": ["a"], "clusters": ["c2", "c3"]},
                    {"name": "pay", "namespaces": ["a"], "clusters": ["c1", "c3"]},
                ],
                "both claim namespace a in cluster c3",
                id="overlap in the one cluster that both have",
            ),
            pytest.param(
                [{"name": "shop"}, {"name": "shop", "namespaces": ["x"], "playbooks": {"folders": ["/x"]}}],
                "projects[shop] is there twice; names must differ",
                id="one name",
            ),
            pytest.param(
                [{"name": "shop", "clusters": ["c9"]}],
                "projects[shop]: cluster 'c9' is none of clusters: c1, c2, c3",
                id="unknown cluster",
            ),
            pytest.param(
                [{"name": "shop", "sources": ["dev"]}],
                "projects[shop].sources: 'dev' is none of sources: central, prod, staging",
                id="unknown source",
            ),
            pytest.param(
                [{"name": "shop", "sources": ["staging"]}],
                "projects[shop].sources: alerts of staging are about c2, which is no cluster of this project",
                id="source of another cluster",
            ),
            pytest.param(
                [{"name": "shop", "sources": ["central"]}],
                "alerts of central are about c2, c3",
                id="source of several other clusters",
            ),
            pytest.param(
                [{"name": "shop", "playbooks": {"folders": ["/x"]}}, {"name": "pay", "playbooks": {"folders": ["/x"]}}],
                "projects shop and pay both read playbooks from folder /x; give it to one",
                id="one folder",
            ),
            pytest.param(
                [
                    {"name": n, "playbooks": {"config_maps": [{"namespaces": ["ops", n], "labels": "a=b"}]}}
                    for n in ("shop", "pay")
                ],
                "projects shop and pay both read playbooks from ConfigMaps a=b in c1/ops; give it to one",
                id="the same ConfigMaps",
            ),
            pytest.param([{"name": "shop", "clusters": []}], "at least 1 item", id="no cluster"),
            pytest.param([{"name": "shop", "namespaces": []}], "at least 1 item", id="no namespace"),
            pytest.param([{"name": "shop", "namespaces": ["Shop"]}], "String should match", id="no namespace name"),
            pytest.param([{"name": "shop", "namespaces": ["a?"]}], "String should match", id="only the star"),
            pytest.param([{"name": "shop", "playbooks": {}}], "neither folders nor config_maps", id="no playbooks"),
            pytest.param([{"name": "shop", "acitons": []}], "Extra inputs are not permitted", id="misspelt"),
            pytest.param(
                [{"name": "shop", "approvers": ["ann"]}], "'ann' names nobody who could", id="nobody who could approve"
            ),
            pytest.param(
                [{"name": "shop", "playbooks": {"config_maps": [{"namespaces": ["ops"], "labels": "!a"}]}}],
                "only says what not to select",
                id="everything by selector",
            ),
            pytest.param(
                [
                    {
                        "name": "shop",
                        "clusters": ["c1", "c2"],
                        "playbooks": {"config_maps": [{"namespaces": ["ops"], "labels": "a"}]},
                    }
                ],
                "say which one with cluster:",
                id="ConfigMaps of which cluster",
            ),
        ],
    )
    def test_what_cannot_be(self, projects, says):
        with pytest.raises(ValueError, match="validation error") as caught:
            config(*projects)
        assert says in str(caught.value)

    def test_playbooks_of_no_project_cannot_be(self, tmp_path):
        """They could not act, and nobody would notice why."""
        with pytest.raises(ValueError, match=r"playbooks\.folders: with projects, each folder belongs to one; give /a"):
            config({"name": "shop"}, playbooks={"folders": ["/a"]})
        assert config({"name": "shop"}, playbooks={"reload": "20s"}).projects

    def test_the_error_names_the_file(self, tmp_path):
        path = tmp_path / "remediator.yaml"
        shop = {"name": "shop", "playbooks": {"folders": ["/a"]}, "clusters": ["eu"], "namespaces": ["shop"]}
        path.write_text(yaml.safe_dump({"sources": [{"name": "a", "auth": "none"}], "projects": [shop]}))
        with pytest.raises(InvalidConfig, match="cluster 'eu' is none of clusters: default"):
            load_config(path, {})

    def test_actions_that_nobody_has_installed(self):
        """A misspelt action would lock a team out; a gated one may come with a later version."""
        assert unknown_actions([project(actions=["scale", "http", "schedule"])], ACTIONS) == ()
        assert unknown_actions([project(actions=["rolback"])], ACTIONS) == (
            'projects[shop].actions: there is no rolback. Did you mean "rollback"?',
        )


class TestWhatIsAProjects:
    @pytest.mark.parametrize(
        ("cluster", "ref", "why"),
        [
            ("c1", ObjectRef("Deployment", "shop", "api"), ""),
            ("c1", ObjectRef("Pod", "shop-eu", "api"), ""),
            ("c2", ObjectRef("Pod", "shop", "api"), "cluster c2 is none of project shop, which has c1"),
            ("c1", ObjectRef("Pod", "pay", "api"), "namespace pay is none of project shop, which has shop, shop-*"),
            (
                "c1",
                ObjectRef("Node", "", "worker-1"),
                "Node worker-1 lies in no namespace, and project shop has no cluster_scoped: true",
            ),
            (
                "c1",
                ObjectRef("Namespace", "", "shop"),
                "Namespace shop lies in no namespace, and project shop has no cluster_scoped: true",
            ),
        ],
    )
    def test_an_object(self, cluster, ref, why):
        assert project().objection_to(cluster, ref) == why

    def test_objects_outside_namespaces_when_allowed(self):
        """A Namespace is still only its owner's."""
        free = project(cluster_scoped=True)
        assert free.objection_to("c1", ObjectRef("Node", "", "worker-1")) == ""
        assert free.objection_to("c1", ObjectRef("Namespace", "", "shop")) == ""
        assert "namespace pay is none" in free.objection_to("c1", ObjectRef("Namespace", "", "pay"))

    def test_actions(self):
        """None given: all but those that reach further than Kubernetes. Some given: exactly those."""
        assert sorted(GATED) == ["exec", "http", "run_job", "run_sql", "schedule"]
        everything, some = project(), project(actions=["scale", "http"])
        assert [a for a in ("scale", "rollback", "cnpg_promote", *sorted(GATED)) if everything.allows(a)] == [
            *("scale", "rollback", "cnpg_promote")
        ]
        assert [a for a in ("scale", "rollback", *sorted(GATED)) if some.allows(a)] == ["scale", "http"]

    def test_a_project_that_is_gone_allows_nothing(self):
        assert project_named("shop", [project()]) == project()
        with pytest.raises(UnknownProject, match="project pay is not configured any more"):
            project_named("pay", [project()])
        with pytest.raises(UnknownProject, match="no project"):
            project_named("", [project()])

    def test_a_schedule_is_asked_for(self):
        plain = make().playbook
        assert uses(plain) == (("steps[0].action", "rollback"),)
        timed = plain.model_dump(by_alias=True) | {"schedule": {"cron": "0 3 * * *", "zone": "UTC"}}
        scheduled = Playbook.model_validate(timed)
        assert ("schedule", "schedule") in uses(scheduled)
        assert any(said.startswith("schedule: schedule is not allowed") for said in objections(scheduled, project()))


class TestLoading:
    @pytest.mark.parametrize(
        ("more", "changes", "says"),
        [
            pytest.param("mode: approve\n", {}, None, id="the highest mode"),
            pytest.param(
                "mode: auto\n",
                {},
                "mode: auto is above approve, the highest of project shop; write mode: approve, or ask the operator "
                "for projects[shop].mode",
                id="above the highest mode",
            ),
            pytest.param(
                "",
                {"actions": ["scale"]},
                "steps[0].action: rollback is not allowed in project shop; ask the operator to list it in "
                "projects[shop].actions",
                id="action",
            ),
            pytest.param(
                "approval: {approvers: ['role:sre']}\n", {"approvers": ["role:sre", "role:shop"]}, None, id="approver"
            ),
            pytest.param("approval: {approvers: ['role:sre']}\n", {}, None, id="approvers are free"),
            pytest.param(
                "approval: {approvers: ['role:shop', 'role:sre']}\n",
                {"approvers": ["role:shop"]},
                "approval.approvers[1]: role:sre is none of project shop, which has role:shop; name some of these, "
                "or none for all of them",
                id="another approver",
            ),
        ],
    )
    def test_what_a_playbook_may_ask_for(self, more, changes, says):
        assert objections(make(more=more).playbook, project(**changes)) == (() if says is None else (says,))

    @pytest.mark.parametrize(
        ("target", "says"),
        [
            ("{kind: Deployment, namespace: shop-eu, name: api}", None),
            ("{kind: Deployment, namespace: '${labels.namespace}', name: api}", None),
            ("{kind: Deployment, namespace: shop, name: api, cluster: '${labels.k8s}'}", None),
            ("{kind: Deployment, namespace: pay, name: '${labels.app}'}", "target: namespace pay is none of"),
            ("{kind: Deployment, namespace: shop, name: api, cluster: c2}", "target: cluster c2 is none of"),
            ("{kind: Node, name: '${labels.node}'}", "lies in no namespace"),
        ],
    )
    def test_what_is_spelled_out_is_checked_at_once(self, target, says):
        playbook = Playbook.model_validate(yaml.safe_load(text_of()) | {"target": yaml.safe_load(target)})
        found = objections(playbook, project())
        assert (says is None and found == ()) or (says is not None and says in found[0])

    def test_the_target_of_a_step_and_several_targets(self):
        content = yaml.safe_load(text_of())
        step = {"action": "rollback", "target": {"kind": "Deployment", "namespace": "pay", "name": "x"}}
        several = {"kind": "Deployment", "namespace": "pay", "selector": "a=b", "max": 2}
        stepped = Playbook.model_validate({**content, "steps": [step]})
        many = Playbook.model_validate({**{k: v for k, v in content.items() if k != "target"}, "targets": several})
        assert objections(stepped, project())[0].startswith("steps[0].target: namespace pay is none")
        assert objections(many, project())[0].startswith("targets: namespace pay is none")

    def test_the_projects_approvers_are_the_default(self):
        """What is approved is the content as written, so the hash is that of the file."""
        shop = project(approvers=["role:shop"], sources=["prod"])
        plain, own = make(), make(more="approval: {approvers: ['role:shop'], quorum: 2}\n")
        assert in_project(plain, shop).playbook.approval.approvers == ("role:shop",)
        assert in_project(plain, shop).hash == plain.hash
        assert in_project(own, shop).playbook == own.playbook
        assert (in_project(plain, shop).project, [*in_project(plain, shop).sources]) == ("shop", ["prod"])
        assert in_project(plain, project()).playbook == plain.playbook


class TestSources:
    def test_alerts_of_other_senders_do_not_match(self):
        """The reason is kept, so that nobody wonders why nothing happens."""
        mine = in_project(make("mine"), project(sources=["prod", "spare"]))
        anybody = in_project(make("anybody"), project("pay"))
        catalog = Catalog([mine, anybody])
        alert = make_alert()
        assert alert.source == "default"
        assert [e.name for e in catalog.candidates(alert)] == ["anybody"]
        assert [str(no) for no in catalog.refused(alert)] == [
            "mine: project shop takes alerts only from prod, spare, and this one is from default"
        ]
        from_prod = replace(alert, source="prod")
        assert [e.name for e in catalog.candidates(from_prod)] == ["anybody", "mine"]
        assert catalog.refused(from_prod) == ()

    def test_an_alert_that_matches_nothing_is_refused_by_nobody(self):
        catalog = Catalog([in_project(make("mine"), project(sources=["prod"]))])
        assert catalog.refused(make_alert(alertname="Other")) == ()


class TestFolders:
    @pytest.fixture
    def shop(self, tmp_path: Path) -> Path:
        (tmp_path / "shop").mkdir()
        return tmp_path / "shop"

    @pytest.fixture
    def pay(self, tmp_path: Path) -> Path:
        (tmp_path / "pay").mkdir()
        return tmp_path / "pay"

    @pytest.fixture
    def start(self, shop, pay):
        """A new process on the same folders and store; `saved` is what the store holds."""
        saved = Saved()

        def folder(**changes: Any) -> PlaybookFolder:
            places = [Folder(pay, project("pay")), Folder(shop, project("shop", **changes))]
            return PlaybookFolder(places, actions=ACTIONS, checks=CHECKS, last_good=saved)

        folder.saved = saved  # type: ignore[attr-defined]
        return folder

    def test_a_playbook_belongs_to_the_project_of_its_folder(self, shop, pay, start):
        (shop / "a.yaml").write_text(text_of("a"))
        (pay / "b.yaml").write_text(text_of("b"))
        result = start(approvers=["role:shop"]).scan()
        assert result.ok
        assert {one.playbook.name: one.project for one in result.catalog} == {"a": "shop", "b": "pay"}
        found = result.catalog.get("a")
        assert found is not None
        assert found.playbook.approval.approvers == ("role:shop",)
        assert found.source == str(shop / "a.yaml")

    def test_what_goes_beyond_the_project_does_not_load(self, shop, start):
        """Nor does it as the last good version, after the operator has lowered what the project may do."""
        (shop / "a.yaml").write_text(text_of("a", more="mode: approve\n"))
        assert start().scan().ok
        result = start(mode="suggest").scan()
        assert names(result) == []
        assert "mode: approve is above suggest, the highest of project shop" in str(result.errors[0])

    def test_one_name_in_two_projects_is_an_error_and_takes_nothing_from_its_owner(self, shop, pay, start):
        """The one that was there stays in force; also after a restart, and as what it was."""
        (shop / "a.yaml").write_text(text_of("a", more="priority: 7\n"))
        folder = start()
        folder.scan()
        (pay / "a.yaml").write_text(text_of("a", more="priority: 9\n"))
        for process in (folder, start()):
            result = process.scan()
            assert [error.what for error in result.errors] == [
                f"the name a is also used by {shop / 'a.yaml'}",
                f"the name a is also used by {pay / 'a.yaml'}",
            ]
            (only,) = result.catalog
            assert (only.project, only.playbook.priority) == ("shop", 7)

    def test_a_broken_file_gets_no_other_projects_last_good_version(self, shop, pay, start):
        (shop / "a.yaml").write_text(text_of("a"))
        folder = start()
        folder.scan()
        (shop / "a.yaml").unlink()
        (pay / "a.yaml").write_text("name: a\nsteps: [\n")
        assert names(folder.scan()) == []
        assert names(start().scan()) == []

    def test_a_removed_playbook_is_forgotten(self, shop, start):
        (shop / "a.yaml").write_text(text_of("a"))
        folder = start()
        folder.scan()
        assert start.saved.texts == {"shop/a": text_of("a")}
        (shop / "a.yaml").unlink()
        folder.scan()
        assert start.saved.texts == {"shop/a": ""}


class Maps:
    """A cluster that has ConfigMaps, or cannot say."""

    name = "c1"

    def __init__(self) -> None:
        self.maps: dict[str, dict[str, str]] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.problem = ""
        self.version = 1

    async def list(self, kind: str, namespace: str = "", *, labels: str = "", fields: str = "") -> ObjectList:
        self.asked.append((kind, namespace, labels))
        if self.problem:
            raise CannotSee(self.problem)
        self.version += 1
        items = [
            {
                "kind": kind,
                "metadata": {"name": n, "uid": n, "resourceVersion": f"{self.version}"},
                "data": data or None,
            }
            for n, data in self.maps.items()
        ]
        return ObjectList(tuple(items), "1")


class TestConfigMaps:
    @pytest.fixture
    def maps(self) -> Maps:
        return Maps()

    @pytest.fixture
    def files(self, maps) -> ConfigMapFiles:
        return ConfigMapFiles(maps, "shop-ops", "playbooks=shop", project())

    @pytest.fixture
    def folder(self, files) -> PlaybookFolder:
        return PlaybookFolder([files], actions=ACTIONS, checks=CHECKS, last_good=Saved())

    async def scan(self, files, folder):
        await files.refresh()
        return folder.scan()

    async def test_each_yaml_key_is_a_file(self, maps, files, folder):
        maps.maps = {
            "first": {"a.yaml": text_of("a"), "b.yml": text_of("b"), "notes.txt": "c"},
            "second": {"a.yaml": text_of("c"), ".hidden.yaml": "x"},
            "empty": {},
        }
        result = await self.scan(files, folder)
        assert result.ok
        assert {one.source: one.playbook.name for one in result.catalog} == {
            "configmap shop-ops/first:a.yaml": "a",
            "configmap shop-ops/first:b.yml": "b",
            "configmap shop-ops/second:a.yaml": "c",
        }
        assert {one.project for one in result.catalog} == {"shop"}
        assert maps.asked == [("ConfigMap", "shop-ops", "playbooks=shop")]

    async def test_changed_and_removed(self, maps, files, folder):
        maps.maps = {"m": {"a.yaml": text_of("a"), "b.yaml": text_of("b")}}
        await self.scan(files, folder)
        assert not (await self.scan(files, folder)).news
        maps.maps = {"m": {"a.yaml": text_of("a", more="priority: 3\n")}}
        result = await self.scan(files, folder)
        assert (result.loaded, result.removed) == (("a",), ("b",))
        maps.maps = {}
        assert (await self.scan(files, folder)).removed == ("a",)

    async def test_a_broken_key_keeps_its_last_good_version(self, maps, files, folder):
        maps.maps = {"m": {"a.yaml": text_of("a")}}
        await self.scan(files, folder)
        maps.maps = {"m": {"a.yaml": "name: a\nsteps: [\n"}}
        result = await self.scan(files, folder)
        assert names(result) == ["a"]
        assert result.errors[0].source == "configmap shop-ops/m:a.yaml"

    async def test_a_file_without_a_name_is_known_by_its_key(self, maps, files, folder):
        maps.maps = {"m": {"a.yaml": text_of("a")}}
        await self.scan(files, folder)
        again = ConfigMapFiles(maps, "shop-ops", "playbooks=shop", project())
        maps.maps = {"other": {"a.yaml": "["}}
        place = PlaybookFolder([again], actions=ACTIONS, checks=CHECKS, last_good=folder._last_good)
        assert names(await self.scan(again, place)) == ["a"]

    async def test_what_cannot_be_listed_stays_in_force(self, maps, files, folder):
        """And it is said, with what to do."""
        maps.maps = {"m": {"a.yaml": text_of("a")}}
        await self.scan(files, folder)
        maps.problem = "no answer in 5 s"
        result = await self.scan(files, folder)
        assert names(result) == ["a"]
        assert not result.removed
        assert str(result.errors[0]) == (
            "ConfigMaps playbooks=shop in c1/shop-ops: cannot be listed: no answer in 5 s. Check that they may be "
            "listed (configmaps, list); their playbooks stay as they are."
        )
        maps.problem = ""
        assert (await self.scan(files, folder)).ok

    def test_not_looked_at_is_not_empty(self, folder):
        """A scan before the first answer must not take the playbooks of the last process for removed."""
        assert not folder.scan().ok


def test_load_still_needs_no_project():
    assert load(text_of()).project == ""
