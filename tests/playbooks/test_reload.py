"""Hot reload on real folders: broken files keep the last good version, ConfigMap swaps are seen whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from remediator.playbooks.folder import load_folder
from remediator.playbooks.reload import PlaybookFolder, ScanResult
from tests.playbooks.registry import ACTIONS, CHECKS, text_of

BROKEN = "name: a\nsteps: [\n"


class Saved:
    """A store of last good versions that can be told to fail."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.saves: list[tuple[str, str]] = []
        self.failing = False

    def load(self) -> Mapping[str, str]:
        self._maybe_fail()
        return self.texts

    def save(self, name: str, text: str, content_hash: str) -> None:
        self._maybe_fail()
        self.texts = {**self.texts, name: text}
        self.saves.append((name, content_hash))

    def _maybe_fail(self) -> None:
        if self.failing:
            raise OSError("disk is full")


@pytest.fixture
def saved() -> Saved:
    return Saved()


@pytest.fixture
def start(tmp_path, saved) -> Callable[[], PlaybookFolder]:
    """A new process on the same folder and store."""
    return lambda: PlaybookFolder([tmp_path], actions=ACTIONS, checks=CHECKS, last_good=saved)


def names(result: ScanResult) -> list[str]:
    return sorted(loaded.playbook.name for loaded in result.catalog)


def priorities(result: ScanResult) -> dict[str, int]:
    return {loaded.playbook.name: loaded.playbook.priority for loaded in result.catalog}


class TestOrdinaryLife:
    def test_an_empty_folder(self, start):
        result = start().scan()
        assert result.ok
        assert names(result) == []

    def test_new_changed_and_removed_files(self, tmp_path, start):
        folder = start()
        (tmp_path / "a.yaml").write_text(text_of("a"))
        (tmp_path / "b.yml").write_text(text_of("b"))
        first = folder.scan()
        assert (first.loaded, first.removed, first.ok, names(first)) == (("a", "b"), (), True, ["a", "b"])
        (tmp_path / "a.yaml").write_text(text_of("a", more="priority: 7\n"))
        second = folder.scan()
        assert (second.loaded, priorities(second)) == (("a",), {"a": 7, "b": 0})
        (tmp_path / "b.yml").unlink()
        third = folder.scan()
        assert (third.removed, names(third)) == (("b",), ["a"])
        assert folder.catalog is third.catalog

    def test_nothing_new_is_no_news(self, tmp_path, start):
        folder = start()
        (tmp_path / "a.yaml").write_text(text_of("a"))
        assert folder.scan().news
        for _ in range(3):
            result = folder.scan()
            assert (result.news, result.loaded) == (False, ())

    def test_a_comment_is_no_news(self, tmp_path, start):
        folder = start()
        (tmp_path / "a.yaml").write_text(text_of("a"))
        before = folder.scan()
        (tmp_path / "a.yaml").write_text("# why\n" + text_of("a"))
        after = folder.scan()
        assert (after.news, after.loaded) == (False, ())
        assert before.catalog.hashes == after.catalog.hashes

    def test_a_rename_keeps_the_playbook(self, tmp_path, start):
        folder = start()
        (tmp_path / "a.yaml").write_text(text_of("a"))
        folder.scan()
        (tmp_path / "a.yaml").rename(tmp_path / "z.yaml")
        result = folder.scan()
        assert (names(result), result.removed, result.ok) == (["a"], (), True)

    def test_another_name_in_the_same_file_replaces_the_playbook(self, tmp_path, start):
        folder = start()
        (tmp_path / "a.yaml").write_text(text_of("a"))
        folder.scan()
        (tmp_path / "a.yaml").write_text(text_of("b"))
        result = folder.scan()
        assert (result.loaded, result.removed, names(result)) == (("b",), ("a",), ["b"])

    def test_what_is_not_looked_at(self, tmp_path, start):
        for name in (".hidden.yaml", "..swap.yaml", "notes.txt", "a.yaml~", "a.yaml.bak"):
            (tmp_path / name).write_text(BROKEN)
        (tmp_path / "tests").mkdir()
        (tmp_path / "tests" / "a.yaml").write_text(BROKEN)
        (tmp_path / "folder.yaml").mkdir()
        assert start().scan().ok

    def test_unchanged_files_are_not_read_again(self, tmp_path):
        reads: list[str] = []

        def read(path: Path) -> bytes:
            reads.append(path.name)
            return path.read_bytes()

        (tmp_path / "a.yaml").write_text(text_of("a"))
        folder = PlaybookFolder([tmp_path], actions=ACTIONS, checks=CHECKS, read=read)
        for _ in range(5):
            folder.scan()
        assert reads == ["a.yaml", "a.yaml"]  # the second time because the first may have been within the clock's tick

    def test_a_change_that_keeps_size_and_time_is_seen(self, tmp_path, start):
        """Two writes within one tick of the file system's clock."""
        folder, path = start(), tmp_path / "a.yaml"
        path.write_text(text_of("a", more="priority: 1\n"))
        stamp = path.stat().st_mtime_ns
        folder.scan()
        path.write_text(text_of("a", more="priority: 2\n"))
        os.utime(path, ns=(stamp, stamp))
        assert priorities(folder.scan()) == {"a": 2}


class TestBrokenFiles:
    def test_a_broken_file_keeps_the_last_good_version(self, tmp_path, start):
        folder, path = start(), tmp_path / "a.yaml"
        path.write_text(text_of("a", more="priority: 1\n"))
        folder.scan()
        path.write_text(text_of("a", more="priority: two\n"))
        for news in (True, False):
            result = folder.scan()
            assert priorities(result) == {"a": 1}
            assert [(one.name, one.source) for one in result.kept] == [("a", "a.yaml")]
            assert [str(error) for error in result.errors] == [
                "a.yaml:5: priority: expected a whole number, got 'two'. Write it without quotes."
            ]
            assert (result.news, result.loaded, result.removed) == (news, (), ())
        path.write_text(text_of("a", more="priority: 3\n"))
        result = folder.scan()
        assert (priorities(result), result.kept, result.ok, result.loaded) == ({"a": 3}, (), True, ("a",))

    def test_other_files_are_untouched(self, tmp_path, start):
        folder = start()
        (tmp_path / "a.yaml").write_text(BROKEN)
        (tmp_path / "b.yaml").write_text(text_of("b"))
        result = folder.scan()
        assert (names(result), len(result.errors)) == (["b"], 1)

    def test_by_file_even_when_its_name_is_gone(self, tmp_path, start):
        folder, path = start(), tmp_path / "a.yaml"
        path.write_text(text_of("something-else"))
        folder.scan()
        for content in ("", "]", "nam: x", "\ufeff\x00", text_of("Bad Name")):
            path.write_text(content)
            assert names(folder.scan()) == ["something-else"], content

    def test_by_name_when_the_file_was_renamed_too(self, tmp_path, start):
        folder = start()
        (tmp_path / "a.yaml").write_text(text_of("a"))
        folder.scan()
        (tmp_path / "a.yaml").unlink()
        (tmp_path / "new.yaml").write_text(BROKEN)
        result = folder.scan()
        assert (names(result), result.kept[0].source) == (["a"], "new.yaml")

    def test_a_removed_broken_file_removes_its_playbook(self, tmp_path, start):
        folder, path = start(), tmp_path / "a.yaml"
        path.write_text(text_of("a"))
        folder.scan()
        path.write_text(BROKEN)
        folder.scan()
        path.unlink()
        result = folder.scan()
        assert (names(result), result.removed) == ([], ("a",))

    def test_two_of_one_name_are_errors_in_both_and_the_old_one_stays(self, tmp_path, start):
        folder = start()
        (tmp_path / "a.yaml").write_text(text_of("a", more="priority: 1\n"))
        folder.scan()
        (tmp_path / "b.yaml").write_text(text_of("a", more="priority: 2\n"))
        result = folder.scan()
        assert priorities(result) == {"a": 1}
        assert [str(error) for error in result.errors] == [
            "a.yaml:1: name: the name a is also used by b.yaml. Rename one of them.",
            "b.yaml:1: name: the name a is also used by a.yaml. Rename one of them.",
        ]
        (tmp_path / "a.yaml").unlink()
        assert priorities(folder.scan()) == {"a": 2}

    def test_two_new_ones_of_one_name_are_both_refused(self, tmp_path, start):
        (tmp_path / "a.yaml").write_text(text_of("a"))
        (tmp_path / "b.yaml").write_text(text_of("a"))
        result = start().scan()
        assert (names(result), len(result.errors)) == ([], 2)

    def test_unreadable_files(self, tmp_path, start):
        folder = start()
        (tmp_path / "a.yaml").write_text(text_of("a"))
        folder.scan()
        (tmp_path / "a.yaml").unlink()
        (tmp_path / "a.yaml").symlink_to("nowhere")
        (tmp_path / "b.yaml").write_bytes(b"name: \xff\n")
        (tmp_path / "c.yaml").write_bytes(b"x" * 2_000_000)
        os.mkfifo(tmp_path / "d.yaml")
        result = folder.scan()
        assert names(result) == ["a"]
        said = [str(error) for error in result.errors]
        assert "a.yaml: cannot be read: No such file or directory." in said[0]
        assert "b.yaml:1: not UTF-8" in said[1]
        assert "c.yaml: cannot be read: larger than 1024 KiB." in said[2]
        assert "d.yaml: cannot be read: not a regular file." in said[3]

    def test_reading_fails_and_works_again(self, tmp_path):
        failing = False

        def read(path: Path) -> bytes:
            if failing:
                raise PermissionError(13, "Permission denied")
            return path.read_bytes()

        folder = PlaybookFolder([tmp_path], actions=ACTIONS, checks=CHECKS, read=read)
        (tmp_path / "a.yaml").write_text(text_of("a"))
        folder.scan()
        failing = True
        result = folder.scan()
        assert (names(result), "Permission denied" in str(result.errors[0])) == (["a"], True)
        failing = False
        assert folder.scan().ok

    def test_a_folder_that_cannot_be_listed_keeps_everything(self, tmp_path, start):
        folder = start()
        (tmp_path / "a.yaml").write_text(text_of("a"))
        folder.scan()
        shutil.move(tmp_path, f"{tmp_path}-away")
        result = folder.scan()
        assert (names(result), result.removed) == (["a"], ())
        assert "cannot be listed: No such file or directory" in str(result.errors[0])
        shutil.move(f"{tmp_path}-away", tmp_path)
        assert folder.scan().ok

    def test_it_never_raises(self, tmp_path):
        def read(path: Path) -> bytes:
            raise RuntimeError("a bug")

        folder = PlaybookFolder([tmp_path], actions=ACTIONS, checks=CHECKS, read=read)
        (tmp_path / "a.yaml").write_text(text_of("a"))
        result = folder.scan()
        assert "reloading failed: RuntimeError: a bug" in str(result.errors[0])
        assert result.catalog is folder.catalog


class TestRestarts:
    def test_a_broken_file_at_start_uses_the_saved_version(self, tmp_path, start):
        path = tmp_path / "a.yaml"
        path.write_text(text_of("a", more="priority: 4\n"))
        start().scan()
        path.write_text(BROKEN)
        result = start().scan()
        assert priorities(result) == {"a": 4}
        assert result.kept[0].name == "a"
        assert result.errors

    @pytest.mark.parametrize("content", ["", "}", "name: a\n broken", 'name: "a" # x\n\t', text_of("Bad Name")])
    def test_by_the_files_own_name_when_nothing_can_be_read(self, tmp_path, start, content):
        path = tmp_path / "a.yaml"
        path.write_text(text_of("a"))
        start().scan()
        path.write_text(content)
        assert names(start().scan()) == ["a"]

    def test_each_version_is_saved_once(self, tmp_path, start, saved):
        path = tmp_path / "a.yaml"
        path.write_text(text_of("a"))
        folder = start()
        for _ in range(3):
            folder.scan()
        start().scan()
        assert [name for name, _ in saved.saves] == ["a"]
        path.write_text(text_of("a", more="priority: 1\n"))
        folder.scan()
        assert len(saved.saves) == 2
        assert saved.saves[1][1] == folder.catalog.hashes["a"]

    def test_a_removed_playbook_does_not_come_back(self, tmp_path, start, saved):
        """A new broken file of the same name, months later, must not revive it."""
        path = tmp_path / "a.yaml"
        path.write_text(text_of("a"))
        folder = start()
        folder.scan()
        path.unlink()
        folder.scan()
        assert saved.texts == {"a": ""}
        path.write_text(BROKEN)
        assert names(start().scan()) == []

    def test_nor_when_it_was_removed_while_we_were_down(self, tmp_path, start, saved):
        path = tmp_path / "a.yaml"
        path.write_text(text_of("a"))
        start().scan()
        path.unlink()
        start().scan()
        assert saved.texts == {"a": ""}

    def test_while_anything_is_broken_nothing_is_forgotten(self, tmp_path, start, saved):
        """The broken file may be the very one that holds it, under a name that cannot be read."""
        (tmp_path / "x.yaml").write_text(text_of("a"))
        start().scan()
        (tmp_path / "x.yaml").write_text("]")
        assert names(start().scan()) == []
        assert saved.texts["a"]

    def test_a_saved_version_that_no_longer_loads_is_told(self, tmp_path, start, saved):
        saved.texts = {"a": text_of("a").replace("rollback", "an_action_of_old")}
        (tmp_path / "a.yaml").write_text(BROKEN)
        result = start().scan()
        assert names(result) == []
        assert "a.yaml (last good version):4: steps[0].action: unknown action" in str(result.errors[-1])

    def test_a_saved_text_under_another_name_is_not_used(self, tmp_path, start, saved):
        saved.texts = {"a": text_of("b")}
        (tmp_path / "a.yaml").write_text(BROKEN)
        assert names(start().scan()) == []

    def test_a_store_that_fails_is_told_and_tried_again(self, tmp_path, start, saved):
        (tmp_path / "a.yaml").write_text(text_of("a"))
        saved.failing = True
        folder = start()
        result = folder.scan()
        assert names(result) == ["a"]
        assert "not readable: disk is full" in str(result.errors[0])
        saved.failing = False
        assert folder.scan().ok
        assert saved.texts["a"]
        saved.failing = True
        (tmp_path / "a.yaml").write_text(text_of("a", more="priority: 1\n"))
        result = folder.scan()
        assert (priorities(result), "a not saved: disk is full" in str(result.errors[0])) == ({"a": 1}, True)
        saved.failing = False
        assert folder.scan().ok
        assert "priority" in saved.texts["a"]


class ConfigMap:
    """A mounted ConfigMap as the kubelet writes it: files are links through `..data`, which is swapped as a whole."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.version = 0

    def write(self, files: Mapping[str, str]) -> None:
        self.version += 1
        fresh = self.root / f"..2025_06_01_{self.version}"
        fresh.mkdir()
        for name, text in files.items():
            (fresh / name).write_text(text)
        old = os.readlink(self.root / "..data") if self.version > 1 else None
        (self.root / "..data_tmp").symlink_to(fresh.name)
        os.replace(self.root / "..data_tmp", self.root / "..data")
        for name in files:
            if not (self.root / name).is_symlink():
                (self.root / name).symlink_to(f"..data/{name}")
        for link in self.root.iterdir():
            if link.is_symlink() and not link.name.startswith("..") and link.name not in files:
                link.unlink()
        if old:
            shutil.rmtree(self.root / old)


class TestConfigMaps:
    def test_a_swap_is_seen(self, tmp_path, start):
        mount, folder = ConfigMap(tmp_path), start()
        mount.write({"a.yaml": text_of("a"), "b.yaml": text_of("b")})
        assert names(folder.scan()) == ["a", "b"]
        folder.scan()
        folder.scan()
        mount.write({"a.yaml": text_of("a", more="priority: 1\n"), "c.yaml": text_of("c")})
        result = folder.scan()
        assert (priorities(result), result.removed, result.ok) == ({"a": 1, "c": 0}, ("b",), True)

    def test_the_same_content_again_is_no_news(self, tmp_path, start):
        mount, folder = ConfigMap(tmp_path), start()
        mount.write({"a.yaml": text_of("a")})
        folder.scan()
        mount.write({"a.yaml": text_of("a")})
        assert not folder.scan().news

    def test_a_swap_in_the_middle_of_reading_is_read_again(self, tmp_path):
        """Never half of an update: the playbooks of one ConfigMap may depend on each other."""
        mount = ConfigMap(tmp_path)
        pending: list[Callable[[], None]] = []

        def read(path: Path) -> bytes:
            data = path.read_bytes()
            if pending:
                pending.pop()()
            return data

        folder = PlaybookFolder([tmp_path], actions=ACTIONS, checks=CHECKS, read=read)
        mount.write({name: text_of(name[0], more="priority: 1\n") for name in ("a.yaml", "b.yaml", "c.yaml")})
        folder.scan()
        mount.write({name: text_of(name[0], more="priority: 2\n") for name in ("a.yaml", "b.yaml", "c.yaml")})
        newer = {name: text_of(name[0], more="priority: 3\n") for name in ("a.yaml", "b.yaml", "c.yaml")}
        pending.append(lambda: mount.write(newer))
        result = folder.scan()
        assert priorities(result) == {"a": 3, "b": 3, "c": 3}
        assert result.ok


class TestSeveralFolders:
    def test_both_count_and_messages_have_paths(self, tmp_path):
        one, two = tmp_path / "one", tmp_path / "two"
        for path in (one, two):
            path.mkdir()
            (path / "a.yaml").write_text(text_of(path.name))
        folder = PlaybookFolder([one, two], actions=ACTIONS, checks=CHECKS)
        assert names(folder.scan()) == ["one", "two"]
        (two / "b.yaml").write_text(text_of("one"))
        result = folder.scan()
        assert names(result) == ["one", "two"]
        assert f"the name one is also used by {two}/b.yaml" in str(result.errors[0])


class TestLoadFolder:
    """For `check`: one look, a result for each file."""

    def test_a_bad_file_never_hides_the_others(self, tmp_path):
        (tmp_path / "a.yaml").write_text(BROKEN)
        (tmp_path / "b.yaml").write_text(text_of("b"))
        bad, good = load_folder(tmp_path, actions=ACTIONS, checks=CHECKS)
        assert (bad.source, bad.name, bad.loaded, len(bad.problems)) == ("a.yaml", "a", None, 1)
        assert good.loaded
        assert good.document

    def test_twins(self, tmp_path):
        (tmp_path / "a.yaml").write_text(text_of("x"))
        (tmp_path / "b.yaml").write_text(text_of("x"))
        assert all(
            result.problems and not result.loaded for result in load_folder(tmp_path, actions=ACTIONS, checks=CHECKS)
        )

    def test_a_missing_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            load_folder(tmp_path / "nowhere", actions=ACTIONS, checks=CHECKS)
