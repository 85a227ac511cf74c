"""Slack messages as a page that looks a little like Slack, to judge wording and length by eye. Not a full mrkdwn."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

Blocks = Sequence[Mapping[str, Any]]

_STYLE = """
body{font:15px/1.46 Lato,Helvetica,Arial,sans-serif;margin:0;padding:12px;background:#fff;color:#1d1c1d}
.m{display:flex;gap:8px;margin:0 0 18px}.a{flex:0 0 36px;height:36px;border-radius:6px;background:#2f6f4f;color:#fff;
text-align:center;line-height:36px;font-weight:700}.b{min-width:0;flex:1}.n{font-weight:900}.n small{font-weight:400;
color:#616061;font-size:12px}h3{font-size:18px;line-height:1.3;margin:4px 0 6px}.s{margin:0 0 8px;white-space:pre-wrap;
overflow-wrap:anywhere}.c{font-size:13px;color:#616061;margin:4px 0 8px;overflow-wrap:anywhere}code{background:#f6f6f6;
border:1px solid #ddd;border-radius:3px;color:#c01343;padding:1px 3px;font-size:12px}pre{background:#f8f8f8;border:1px
solid #ddd;border-radius:4px;padding:8px;font-size:12px;white-space:pre-wrap;margin:4px 0;overflow-wrap:anywhere}
a{color:#1264a3;text-decoration:none}.t{border-left:2px solid #ddd;padding-left:10px;margin-left:44px}
.at{background:#e8f5fa}
"""


def page(threads: Sequence[tuple[Blocks, str, Sequence[tuple[Blocks, str]]]]) -> str:
    """`(blocks, text, replies)` for each main message."""
    body = []
    for blocks, text, replies in threads:
        body.append(_message(blocks, text))
        body += [f'<div class="t">{_message(b, t)}</div>' for b, t in replies]
    return f'<!doctype html><meta charset="utf-8"><style>{_STYLE}</style>{"".join(body)}'


def _message(blocks: Blocks, text: str) -> str:
    inner = "".join(_block(b) for b in blocks) or f'<div class="s">{_mrkdwn(text)}</div>'
    who = '<div class="n">remediator <small>APP</small></div>'
    return f'<div class="m"><div class="a">R</div><div class="b">{who}{inner}</div></div>'


def _block(block: Mapping[str, Any]) -> str:
    match block["type"]:
        case "header":
            return f"<h3>{html.escape(block['text']['text'])}</h3>"
        case "section":
            return f'<div class="s">{_mrkdwn(block["text"]["text"])}</div>'
        case "context":
            return f'<div class="c">{" ".join(_mrkdwn(e["text"]) for e in block["elements"])}</div>'
        case _:
            return ""


def _mrkdwn(text: str) -> str:
    """Text arrives with `&`, `<` and `>` escaped, and with Slack's own `<...>` sequences."""
    kept: list[str] = []

    def keep(shown: str) -> str:
        kept.append(shown)
        return f"\0{len(kept) - 1}\0"

    text = re.sub(r"```\n?(.*?)\n?```\n?", lambda m: keep(f"<pre>{m[1]}</pre>"), text, flags=re.DOTALL)
    text = re.sub(r"`([^`\n]+)`", lambda m: keep(f"<code>{m[1]}</code>"), text)
    text = re.sub(r"<!date\^\d+\^[^|>]*\|([^>]*)>", lambda m: keep(f"<u>{m[1]}</u>"), text)
    text = re.sub(r"<!subteam\^(\w+)>", lambda m: keep(f'<span class="at">@group-{m[1]}</span>'), text)
    text = re.sub(r"<@(\w+)>", lambda m: keep(f'<span class="at">@user-{m[1]}</span>'), text)
    text = re.sub(r"<(https?://[^|>]+)\|([^>]*)>", lambda m: keep(f'<a href="{m[1]}">{m[2]}</a>'), text)
    text = text.replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"(?<!\w)\*([^*\n]+)\*(?!\w)", r"<b>\1</b>", text)
    text = re.sub(r"(?<!\w)_([^_\n]+)_(?!\w)", r"<i>\1</i>", text)
    text = re.sub(r"(?<!\w)~([^~\n]+)~(?!\w)", r"<s>\1</s>", text)
    return re.sub("\0(\\d+)\0", lambda m: kept[int(m[1])], text)
