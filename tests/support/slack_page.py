"""Slack messages, modals and the home tab as a page that looks a little like Slack, to judge wording and length by eye.

Not a full mrkdwn, and no script: what a tap opens (a confirm dialog) is drawn open where it is asked for.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

Block = Mapping[str, Any]
Blocks = Sequence[Block]

_STYLE = """
*{box-sizing:border-box}body{font:15px/1.46 Lato,'Liberation Sans',Helvetica,Arial,sans-serif,'Noto Color Emoji';
margin:0;padding:12px;background:#fff;color:#1d1c1d}
.m{display:flex;gap:8px;margin:0 0 18px}.a{flex:0 0 36px;height:36px;border-radius:6px;background:#2f6f4f;color:#fff;
text-align:center;line-height:36px;font-weight:700}.b{min-width:0;flex:1}.n{font-weight:900}.n small{font-weight:400;
color:#616061;font-size:12px}h3{font-size:18px;line-height:1.3;margin:4px 0 6px;overflow-wrap:anywhere}
.s{margin:0 0 8px;white-space:pre-wrap;overflow-wrap:anywhere}.c{font-size:12px;color:#616061;margin:4px 0 8px;
overflow-wrap:anywhere}hr{border:0;border-top:1px solid #ddd;margin:10px 0}
code{background:#f6f6f6;border:1px solid #ddd;border-radius:3px;color:#c01343;padding:1px 3px;
font:12px 'Liberation Mono',monospace}pre{background:#f8f8f8;border:1px solid #ddd;border-radius:4px;padding:8px;
font:12px/1.5 'Liberation Mono',monospace;white-space:pre-wrap;margin:4px 0;overflow-wrap:anywhere}
a{color:#1264a3;text-decoration:none}.t{border-left:2px solid #ddd;padding-left:10px;margin-left:44px}
.at{background:#fdf2d0;color:#1264a3;border-radius:3px;padding:0 2px}
.k{display:flex;flex-wrap:wrap;gap:8px;margin:8px 0 10px}
.u{border:1px solid #bbb;border-radius:4px;padding:5px 12px;font-weight:700;font-size:14px;background:#fff}
.u.primary{background:#007a5a;border-color:#007a5a;color:#fff}.u.danger{background:#e01e5a;border-color:#e01e5a;
color:#fff}.u.select::after{content:' ▾';color:#616061}.u.link::after{content:' \\2197\\FE0E';color:#616061;
font-weight:400}
.x{display:flex;justify-content:space-between;gap:12px;align-items:flex-start}
.v{border:1px solid #ccc;border-radius:10px;box-shadow:0 6px 24px #0003;margin:0 0 18px;overflow:hidden}
.v>div{padding:10px 16px}.h{display:flex;justify-content:space-between;font-weight:900;font-size:17px;
border-bottom:1px solid #eee}.h span{color:#616061;font-weight:400}.f{display:flex;justify-content:flex-end;gap:8px;
border-top:1px solid #eee}label{font-weight:700;display:block;margin:8px 0 4px}label i{font-weight:400;color:#616061}
.i{border:1px solid #999;border-radius:4px;height:72px;padding:6px;color:#999;margin-bottom:8px}
img{max-width:100%;border-radius:6px;border:1px solid #ddd;display:block}.dim{background:#0000000d}
"""


def page(threads: Sequence[tuple[Blocks, str, Sequence[tuple[Blocks, str]]]]) -> str:
    """`(blocks, text, replies)` for each main message."""
    body = []
    for blocks, text, replies in threads:
        body.append(message(blocks, text))
        body += [f'<div class="t">{message(b, t)}</div>' for b, t in replies]
    return document("".join(body))


def document(body: str) -> str:
    return f'<!doctype html><meta charset="utf-8"><style>{_STYLE}</style>{body}'


def message(blocks: Blocks, text: str) -> str:
    inner = "".join(_block(b) for b in blocks) or f'<div class="s">{_mrkdwn(text)}</div>'
    return f'<div class="m"><div class="a">R</div><div class="b">{_WHO}{inner}</div></div>'


_WHO = '<div class="n">remediator <small>APP</small></div>'


def picture(text: str, source: str, title: str) -> str:
    """A file in a thread; `source` is an address or a data URL."""
    inner = f'<div class="s">{_mrkdwn(text)}</div><div class="c">{html.escape(title)}</div><img src="{source}">'
    return f'<div class="m"><div class="a">R</div><div class="b">{_WHO}{inner}</div></div>'


def view(shown: Mapping[str, Any]) -> str:
    """A modal, or a home tab."""
    inner = "".join(_block(b) for b in shown["blocks"])
    if shown["type"] == "home":
        return f"<div>{inner}</div>"
    submit = f'<span class="u primary">{_plain(shown["submit"])}</span>' if "submit" in shown else ""
    close = f'<span class="u">{_plain(shown["close"])}</span>' if "close" in shown else ""
    head = f'<div class="h">{_plain(shown["title"])}<span>×</span></div>'  # noqa: RUF001
    return f'<div class="v">{head}<div>{inner}</div><div class="f">{close}{submit}</div></div>'


def confirm(blocks: Blocks) -> str:
    """The first confirm dialog among the buttons, drawn open."""
    asked = next(e["confirm"] for b in blocks if b["type"] == "actions" for e in b["elements"] if "confirm" in e)
    yes = f'<span class="u {asked.get("style", "primary")}">{_plain(asked["confirm"])}</span>'
    no = f'<span class="u">{_plain(asked["deny"])}</span>'
    head = f'<div class="h">{_plain(asked["title"])}<span>×</span></div>'  # noqa: RUF001
    return f'<div class="v">{head}<div class="s">{_text(asked["text"])}</div><div class="f">{no}{yes}</div></div>'


def _block(block: Block) -> str:
    match block["type"]:
        case "header":
            return f"<h3>{_plain(block['text'])}</h3>"
        case "section":
            text = f'<div class="s">{_text(block["text"])}</div>'
            return f'<div class="x">{text}{_element(block["accessory"])}</div>' if "accessory" in block else text
        case "context":
            return f'<div class="c">{" ".join(_text(e) for e in block["elements"])}</div>'
        case "divider":
            return "<hr>"
        case "actions":
            return f'<div class="k">{"".join(_element(e) for e in block["elements"])}</div>'
        case "input":
            optional = " <i>(optional)</i>" if block.get("optional") else ""
            hint = _plain(block["element"]["placeholder"]) if "placeholder" in block["element"] else ""
            return f'<label>{_plain(block["label"])}{optional}</label><div class="i">{hint}</div>'
        case "image":
            return f'<img src="{html.escape(block["image_url"])}" alt="{html.escape(block["alt_text"])}">'
        case kind:
            raise ValueError(f"no way to draw {kind}")


def _element(element: Mapping[str, Any]) -> str:
    match element["type"]:
        case "button":
            kind = "link" if "url" in element else element.get("style", "")
            return f'<span class="u {kind}">{_plain(element["text"])}</span>'
        case "static_select":
            return f'<span class="u select">{_plain(element["placeholder"])}</span>'
        case kind:
            raise ValueError(f"no way to draw {kind}")


def _text(text: Mapping[str, Any]) -> str:
    return _plain(text) if text["type"] == "plain_text" else _mrkdwn(text["text"])


def _plain(text: Mapping[str, Any]) -> str:
    return html.escape(str(text["text"]))


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
    while "\0" in text:
        text = re.sub("\0(\\d+)\0", lambda m: kept[int(m[1])], text)
    return text
