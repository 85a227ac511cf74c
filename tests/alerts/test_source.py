"""What a sender may claim: a staging Alertmanager cannot say that it is production."""

from __future__ import annotations

import json

import pytest

from remediator.alerts.source import Source, shown
from remediator.alerts.webhook import parse_webhook
from remediator.errors import InvalidConfig, InvalidWebhook


def send(source: Source, **labels: str):
    alert = {
        "status": "firing",
        "labels": {"alertname": "X", **labels},
        "startsAt": "2025-06-01T10:00:00Z",
        "fingerprint": "0123456789abcdef",
    }
    body = json.dumps({"version": "4", "alerts": [alert]}).encode()
    return parse_webhook(body, source=source).alerts[0]


def test_forced_labels_win():
    """What the operator wrote about a sender replaces what the sender says, also where the sender says nothing."""
    staging = Source(name="staging", cluster="staging", forced={"cluster": "staging", "environment": "staging"})
    alert = send(staging, cluster="prod")
    assert alert.labels == {"alertname": "X", "cluster": "staging", "environment": "staging"}
    assert (alert.cluster, alert.source) == ("staging", "staging")


def test_forcing_labels_keeps_the_identity():
    """The fingerprint stays the sender's, so that a resolve finds its alert, and silences in its Alertmanager match."""
    assert send(Source(forced={"cluster": "staging"})).fingerprint == "0123456789abcdef"


def test_a_claim_outside_the_limits_refuses_the_message():
    """The refusal names label, value, source and what to change."""
    staging = Source(name="staging", allow={"cluster": frozenset({"staging-eu", "staging-us"})})
    with pytest.raises(InvalidWebhook) as caught:
        send(staging, cluster="prod")
    assert str(caught.value) == (
        "alerts[0]: label cluster='prod': source 'staging' may only say staging-eu, staging-us; "
        "correct the sender, or sources[staging].allow.cluster"
    )


@pytest.mark.parametrize("labels", [{"cluster": "staging-eu"}, {"cluster": ""}, {}])
def test_a_claim_within_the_limits_passes(labels):
    """An absent or empty label claims nothing."""
    source = Source(allow={"cluster": frozenset({"staging-eu"})})
    assert send(source, **labels).cluster == "default"


def test_forcing_comes_before_limits():
    """A label that is forced cannot break the limits, whatever was sent."""
    source = Source(forced={"cluster": "staging"}, allow={"cluster": frozenset({"staging"})})
    assert send(source, cluster="prod").labels["cluster"] == "staging"


def test_the_cluster_is_the_sources_whatever_the_labels_say():
    """Without `cluster_label` the label is only a label."""
    assert send(Source(cluster="staging"), cluster="prod").cluster == "staging"


def test_one_alertmanager_for_several_clusters():
    """With `cluster_label` the alert says which of the allowed clusters it is about."""
    central = Source(name="central", cluster_label="k8s_cluster", allow={"k8s_cluster": frozenset({"eu", "us"})})
    assert send(central, k8s_cluster="us").cluster == "us"
    with pytest.raises(InvalidWebhook, match="k8s_cluster='prod'"):
        send(central, k8s_cluster="prod")
    with pytest.raises(InvalidWebhook, match="label k8s_cluster is missing"):
        send(central)


def test_a_cluster_label_needs_a_limit():
    """Otherwise any sender with that token could name any cluster."""
    with pytest.raises(InvalidConfig, match=r"allow\.cluster"):
        Source(name="central", cluster_label="cluster")


def test_shown_text_is_bounded_and_quoted():
    """Untrusted text cannot break a log line or flood a message."""
    assert shown("a\nb") == r"'a\nb'"
    assert len(shown("x" * 10_000)) == 120
