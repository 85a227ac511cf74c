"""What we count about ourselves, with closed label sets: never a pod name, never an alert's text."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from remediator import __version__

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)
SLOW = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 30, 60, 300, 900, 3600)


class Metrics:
    """One registry per process, so that tests can have several services in one process."""

    def __init__(self) -> None:
        r = self.registry = CollectorRegistry()
        self.alerts_received = Counter(
            "remediator_alerts_received_total", "Alerts durably accepted.", ["status"], registry=r
        )
        self.webhook_seconds = Histogram(
            "remediator_webhook_seconds", "Time to answer a webhook, by answer.", ["code"], buckets=FAST, registry=r
        )
        self.remediations = Counter(
            "remediator_remediations_total", "Ended remediations.", ["playbook", "outcome"], registry=r
        )
        self.denials = Counter(
            "remediator_guardrail_denials_total", "Denied and held, by guardrail.", ["guardrail", "answer"], registry=r
        )
        self.effects = Counter(
            "remediator_effects_total", "Effects, by action and result.", ["action", "result"], registry=r
        )
        self.alert_to_effect = Histogram(
            "remediator_alert_to_effect_seconds",
            "From the creation of a remediation to its first acknowledged effect.",
            buckets=SLOW,
            registry=r,
        )
        self.recovery = Histogram(
            "remediator_recovery_seconds",
            "From the first effect to proven success.",
            ["playbook"],
            buckets=SLOW,
            registry=r,
        )
        self.approvals = Counter("remediator_approvals_total", "Answers to proposals.", ["result"], registry=r)
        self.messages = Counter("remediator_messages_total", "Outgoing messages.", ["channel", "result"], registry=r)
        self.outbox_pending = Gauge(
            "remediator_outbox_pending", "Messages that wait to be sent.", ["channel"], registry=r
        )
        self.outbox_oldest = Gauge(
            "remediator_outbox_oldest_seconds", "Age of the oldest message that waits.", ["channel"], registry=r
        )
        self.dead_letters = Counter(
            "remediator_outbox_dead_letters_total", "Messages that were given up.", ["channel"], registry=r
        )
        self.undecided = Gauge(
            "remediator_oldest_undecided_alert_seconds", "Age of the oldest alert without a verdict.", registry=r
        )
        self.watchdog = Gauge(
            "remediator_watchdog_age_seconds",
            "Since Alertmanager's Watchdog was last delivered; NaN = never.",
            registry=r,
        )
        self.watchdog.set(float("nan"))
        self.reload_ok = Gauge(
            "remediator_config_last_reload_successful",
            "Whether every playbook of the last reload is in force.",
            registry=r,
        )
        self.build_info = Gauge("remediator_build_info", "Version of this build.", ["version"], registry=r)
        self.build_info.labels(__version__).set(1)

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)
