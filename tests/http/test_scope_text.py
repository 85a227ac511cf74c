"""Scopes of pauses in people's words."""

from __future__ import annotations

import pytest

from remediator.guardrails.scopes import describe_scope
from remediator.scope_text import UnclearScope, parse_scope


@pytest.mark.parametrize(
    ("text", "stored", "said"),
    [
        ("everything", "everything", "everything"),
        ("  All ", "everything", "everything"),
        ("playbook rollback", "playbook:rollback", "playbook rollback"),
        ("namespace shop", "namespace:eu/shop", "namespace shop in eu"),
        ("ns shop", "namespace:eu/shop", "namespace shop in eu"),
        ("target Deployment/shop/api", "target:eu/Deployment/shop/api", "target Deployment/shop/api in eu"),
        ("target deployment/shop/api", "target:eu/Deployment/shop/api", "target Deployment/shop/api in eu"),
        ("target Node/worker-1.eu", "target:eu/Node//worker-1.eu", "target Node/worker-1.eu in eu"),
    ],
)
def test_with_one_cluster_nobody_names_it(text: str, stored: str, said: str) -> None:
    assert parse_scope(text, ["eu"]) == stored
    assert describe_scope(stored) == said
    assert parse_scope(stored, ["eu"]) == stored  # what a list shows can be pasted
    assert parse_scope(said, ["eu"]) == stored


@pytest.mark.parametrize("text", ["namespace shop in us", "namespace shop us", "namespace:us/shop"])
def test_with_several_clusters_one_is_named(text: str) -> None:
    assert parse_scope(text, ["eu", "us"]) == "namespace:us/shop"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names nothing"),
        ("everything else", "names nothing"),
        ("playbook", "names nothing"),
        ("namespace", "names nothing"),
        ("namespaces shop", "names nothing"),
        ("playbook Rollback!", "cannot be the name"),
        ("namespace shop", "say which cluster"),
        ("namespace shop in mars", "no cluster is called 'mars'"),
        ("namespace shop in eu please", "too many words"),
        ("namespace shop/api in eu", "cannot be the name"),
        ("target Deployment/api in eu", "write Deployment/NAMESPACE/NAME"),
        ("target Node/shop/worker in eu", "write Node/NAME"),
        ("target Widget/shop/api in eu", "no kind is called 'Widget'"),
        ("target:eu/Deployment/shop/", "names no object"),
    ],
)
def test_what_is_unclear_is_refused(text: str, said: str) -> None:
    """A pause that covers nothing would be worse than none."""
    with pytest.raises(UnclearScope, match=said.replace("(", r"\(")):
        parse_scope(text, ["eu", "us"])
