"""References of container images, and what an entry of `images:` of a kustomization makes of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from remediator.actions.paths import Path
from remediator.gitops.yaml_text import CannotEdit, Scalar

KEYS = frozenset({"name", "newName", "newTag", "digest"})


@dataclass(frozen=True, slots=True)
class Image:
    """`registry:5000/shop/app:1.2@sha256:...` in its parts; what is not said is empty."""

    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def of(cls, text: str) -> Image:
        rest, _, digest = text.partition("@")
        folder, slash, last = rest.rpartition("/")
        name, _, tag = last.partition(":")
        return cls(f"{folder}{slash}{name}", tag, digest)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: images called `name` are called `new_name`, with this tag or digest."""

    name: str
    new_name: str = ""
    tag: str = ""
    digest: str = ""

    @property
    def renders(self) -> str:
        """The repository that it leaves in the manifests."""
        return self.new_name or self.name

    def contradicts(self, image: Image) -> str:
        """Why this entry does not give that image, for people; empty when it does."""
        if self.renders != image.repository:
            return f"makes {self.renders} of {image.repository}"
        if self.tag and self.digest:
            return "has both newTag and digest"
        if not (self.tag or self.digest):
            return "says neither newTag nor digest"
        says, has = (self.digest, image.digest) if self.digest else (self.tag, image.tag)
        if says != has or (self.tag and image.digest) or (self.digest and image.tag):
            return f"says {says:.80}, not {image.tag or image.digest or 'no tag':.80} as the cluster has it"
        return ""


def entry_of(values: Mapping[str, Scalar]) -> Entry:
    """Raises: CannotEdit for an entry that is written in a way we do not know."""
    if unknown := sorted(values.keys() - KEYS):
        raise CannotEdit(f"{unknown[0]:.60} of an image is not known here")
    if numbers := sorted(key for key, value in values.items() if not isinstance(value, str)):
        raise CannotEdit(f"{numbers[0]} is no text: put it in quotes")
    texts = {key: str(value) for key, value in values.items()}
    return Entry(texts.get("name", ""), texts.get("newName", ""), texts.get("newTag", ""), texts.get("digest", ""))


def leaves(where: str, path: Path, before: str, after: Scalar) -> dict[Path, tuple[Scalar, Scalar]]:
    """What to change in the entry at `path`, from what to what. Raises: CannotEdit when its shape would change."""
    if not isinstance(after, str):
        raise CannotEdit(f"{where} takes the reference of an image")
    old, new = Image.of(before), Image.of(after)
    changed: dict[Path, tuple[Scalar, Scalar]] = {}
    if old.repository != new.repository:
        changed[*path, "newName"] = (old.repository, new.repository)
    key = "digest" if old.digest else "newTag"
    says, wanted, other = (old.digest, new.digest, new.tag) if old.digest else (old.tag, new.tag, new.digest)
    if not wanted or other:
        raise CannotEdit(f"{where} says a {key}, which {after:.100} does not have alone: change it by hand")
    if says != wanted:
        changed[*path, key] = (says, wanted)
    return changed
