"""The YAML of `init alertmanager`. Text and not a dumped structure: the comments are half of what it is for.

Why these numbers. `group_by: ['...']` sends each alert by itself, at once: grouping for people would keep the second
crash-looping pod from us for minutes, and we group by incident anyway. `group_interval` is how soon an alert that we
could not take (we were down) comes again. `repeat_interval` lets a held or denied alert be looked at anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent


@dataclass(frozen=True, slots=True)
class AlertmanagerTarget:
    """Where the webhook goes, the file with its token, and the receiver that wakes people."""

    url: str
    token_file: str
    human: str


WHAT = {
    "A": """\
# Pattern A: remediator first. People are woken only for what is still firing after 5 minutes.
# - Every alert goes to remediator at once; `continue: true` lets it go on to your routes.
# - Your route waits 5 minutes before its first notification. What is fixed by then wakes nobody.
# - An alert that no playbook matches waits as well. Where that is too long, put a route with a shorter group_wait
#   before yours (for example on a label of those alerts).
# - Nothing in here depends on remediator being up: while it is down, people are woken as if it were not there.""",
    "B": """\
# Pattern B: remediator is the pager. It tells people itself, through its own Slack and PagerDuty routes.
# - Only what remediator says about itself, and the Watchdog, goes past it.
# - You MUST watch remediator from outside: a dead man's switch on the Watchdog, and the receiver below for alerts named
#   Remediator*. If both it and that path are down, nobody hears anything.""",
    "C": """\
# Pattern C: people are paged as today, and remediator works beside them.
# - Every alert goes to remediator at once; `continue: true` lets it go on to your routes, which stay as they are.""",
}

RECEIVER = """\
  - name: remediator
    webhook_configs:
      - url: {url}
        send_resolved: true
        max_alerts: 0            # all of them; what is left out is not acted on
        # timeout: 10s           # Alertmanager 0.28 or newer: a try that hangs leaves time for the next one
        http_config:
          follow_redirects: false
          authorization:
            type: Bearer
            credentials_file: {token_file}   # one of sources[].tokens of remediator
"""

OUR_ROUTE = """\
- receiver: remediator
  matchers: ['alertname!="Watchdog"']
  group_by: ['...']         # each alert by itself
  group_wait: 0s
  group_interval: 30s       # after a failed delivery it comes again this soon
  repeat_interval: 1h
  continue: {goes_on}
"""

WATCHDOG_ROUTE = """\
- receiver: remediator      # proves, once a minute, that alerts reach us: remediator_watchdog_age_seconds
  matchers: ['alertname="Watchdog"']
  group_by: ['...']
  group_wait: 0s
  group_interval: 1m
  repeat_interval: 1m
  continue: true
"""

HUMAN_ROUTE = {
    "A": """\
- receiver: {human}         # your routes, from here on
  matchers: ['alertname!="Watchdog"']
  group_by: [alertname, cluster, namespace]
  group_wait: 5m            # the time remediator has before people are woken
  group_interval: 5m
  repeat_interval: 4h
""",
    "B": "",
    "C": """\
- receiver: {human}         # your routes, from here on, unchanged
  matchers: ['alertname!="Watchdog"']
  group_by: [alertname, cluster, namespace]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
""",
}

ABOUT_US = """\
- receiver: {human}         # what is wrong with remediator does not go through remediator
  matchers: ['alertname=~"Remediator.*"']
  group_wait: 30s
"""


def config_file(pattern: str, to: AlertmanagerTarget) -> str:
    """For alertmanager.yml. Complete and loadable as it is; the human receiver in it is empty, to be yours."""
    goes_on = "false" if pattern == "B" else "true"
    routes = ABOUT_US + WATCHDOG_ROUTE + OUR_ROUTE.format(goes_on=goes_on) + HUMAN_ROUTE[pattern]
    human = _quoted(to.human)
    return (
        f"{WHAT[pattern]}\n"
        f"#\n"
        f"# Merge it into alertmanager.yml: these routes before yours, this receiver beside yours.\n"
        f"route:\n"
        f"  receiver: {human}          # what no route below takes\n"
        f"  routes:\n"
        f"{indent(routes.replace('{human}', human), '    ')}"
        f"receivers:\n"
        f"{RECEIVER.format(url=_quoted(to.url), token_file=_quoted(to.token_file))}"
        f"  - name: {human}              # yours has pagerduty_configs, slack_configs, ... in it\n"
    )


def config_crd(pattern: str, to: AlertmanagerTarget) -> str:
    """An AlertmanagerConfig for the Prometheus Operator, with what has to be set on the Alertmanager itself."""
    people = {
        "A": "# - Your own routes need `group_wait: 5m`, so that people hear only of what is not fixed by then.\n",
        "B": "# - The root route still gets every alert: give it a receiver without integrations, and keep a route\n"
        '#   for alertname=~"Remediator.*" to people.\n',
        "C": "# - Your own routes stay as they are.\n",
    }[pattern]
    return (
        f"{WHAT[pattern]}\n"
        "#\n"
        "# - REQUIRED: without this on the Alertmanager, only alerts of this object's own namespace get here:\n"
        "#     spec:\n"
        "#       alertmanagerConfigMatcherStrategy:\n"
        "#         type: None\n"
        "#   (kube-prometheus-stack: alertmanager.alertmanagerSpec.alertmanagerConfigMatcherStrategy.type)\n"
        "# - The operator puts these routes first and lets every alert go on to the others.\n"
        f"{people}"
        "apiVersion: monitoring.coreos.com/v1alpha1\n"
        "kind: AlertmanagerConfig\n"
        "metadata:\n"
        "  name: remediator\n"
        "spec:\n"
        "  route:\n"
        "    receiver: remediator\n"
        "    groupBy: ['...']         # each alert by itself\n"
        "    groupWait: 0s\n"
        "    groupInterval: 30s       # after a failed delivery it comes again this soon\n"
        "    repeatInterval: 1h\n"
        "    continue: true\n"
        "    routes:\n"
        "      - receiver: remediator # proves, once a minute, that alerts reach us\n"
        "        matchers:\n"
        "          - {name: alertname, matchType: '=', value: Watchdog}\n"
        "        groupBy: ['...']\n"
        "        groupWait: 0s\n"
        "        groupInterval: 1m\n"
        "        repeatInterval: 1m\n"
        "  receivers:\n"
        "    - name: remediator\n"
        "      webhookConfigs:\n"
        f"        - url: {_quoted(to.url)}\n"
        "          sendResolved: true\n"
        "          maxAlerts: 0\n"
        "          httpConfig:\n"
        "            followRedirects: false\n"
        "            authorization:\n"
        "              type: Bearer\n"
        "              credentials:     # kubectl create secret generic remediator-alertmanager --from-file=token=...\n"
        "                name: remediator-alertmanager\n"
        "                key: token\n"
    )


def _quoted(text: str) -> str:
    """A YAML scalar; bare where that is unmistakable."""
    plain = text.replace("-", "").replace("_", "")
    return text if plain.isalnum() and plain[:1].isalpha() else f'"{text}"'
