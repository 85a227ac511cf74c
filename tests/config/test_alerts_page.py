"""The page that lists the alerts is rendered from the rules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.alert_rules import LOKI, prometheus_rules, rules_of

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_rules_say() -> None:
    script = ROOT / "scripts" / "render-alerts"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_alert_is_on_the_page() -> None:
    text = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    names = {rule.name for rule in (*prometheus_rules(), *rules_of(LOKI))}
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
