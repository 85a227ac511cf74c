"""The inbound side of the Slack app: clicks, dialogs, commands and the home tab, from payload to decision."""
