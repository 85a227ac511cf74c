"""A graph as a PNG that can be read on a phone: thick lines, large type, few words. Needs no display and no fonts.

Drawn at twice the size and scaled down, which makes lines smooth; then few colours, which makes the file small.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from remediator.people.graph import Graph, Mark, MarkKind, bounds, humanise, segments, ticks, time_ticks

WIDTH, HEIGHT = 1200, 675
PLOT = (140, 168, 1160, 560)
"""Left, top, right, bottom of the plot."""
_TWICE = 2

Colour = tuple[int, int, int]
PAPER: Colour = (255, 255, 255)
INK: Colour = (29, 28, 29)
QUIET: Colour = (97, 96, 97)
GRID: Colour = (224, 224, 224)
GOOD: Colour = (0, 122, 90)
BAD: Colour = (190, 18, 60)
CURVES: tuple[Colour, ...] = (
    (0, 114, 178),
    (230, 130, 0),
    (0, 158, 115),
    (204, 88, 160),
    (86, 160, 220),
    (120, 94, 40),
)
"""Apart also for those who do not see red and green as others do."""
MARKS: dict[MarkKind, Colour] = {"alert": (213, 44, 36), "action": (70, 60, 190), "undo": (110, 110, 110)}


def draw(graph: Graph) -> bytes:
    """PNG bytes; the same graph gives the same bytes."""
    return _Drawing(graph).png()


def x_of(graph: Graph, at: datetime) -> float:
    """The column of a moment, in pixels of the picture."""
    left, _, right, _ = PLOT
    return left + (right - left) * ((at - graph.start) / (graph.end - graph.start))


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size * _TWICE)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow without FreeType has no scalable font
    return font


@lru_cache
def _palette() -> Image.Image:
    """Every colour of ours in a few shades towards the paper: a colour that is rare must not get lost."""
    ours = (INK, QUIET, GOOD, BAD, *CURVES, *MARKS.values())
    shades = [PAPER, GRID, *(_mixed(colour, part / 8) for colour in ours for part in range(1, 9))]
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for shade in shades for value in shade])
    return palette


def _mixed(colour: Colour, part: float) -> Colour:
    red, green, blue = (round(p + (c - p) * part) for c, p in zip(colour, PAPER, strict=True))
    return red, green, blue


def drawable(text: str) -> str:
    """What the bundled font can show: accents are dropped, other scripts become question marks."""
    flat = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" else "?" for c in flat.replace("→", "->"))


class _Drawing:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._low, self._high = bounds(graph)
        self._image = Image.new("RGB", (WIDTH * _TWICE, HEIGHT * _TWICE), PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def png(self) -> bytes:
        self._axes()
        for number, curve in enumerate(self._graph.curves):
            for piece in segments(curve, self._graph.step):
                self._curve(piece, CURVES[number % len(CURVES)])
        self._limits()
        self._marks()
        self._words()
        small = self._image.reduce(_TWICE).quantize(palette=_palette(), dither=Image.Dither.NONE)
        out = io.BytesIO()
        small.save(out, "PNG", optimize=True)
        return out.getvalue()

    # --- what is measured ---------------------------------------------------------------------------------------------

    def _y(self, value: float) -> float:
        _, top, _, bottom = PLOT
        return bottom - (bottom - top) * ((value - self._low) / (self._high - self._low))

    def _curve(self, piece: Sequence[tuple[datetime, float]], colour: Colour) -> None:
        points = [(x_of(self._graph, at), self._y(value)) for at, value in piece]
        if len(points) == 1:  # one lonely point is drawn as such
            self._dot(points[0], 6, colour)
            return
        self._draw.line([(x * _TWICE, y * _TWICE) for x, y in points], fill=colour, width=6 * _TWICE, joint="curve")
        for end in (points[0], points[-1]):
            self._dot(end, 3, colour)

    def _dot(self, at: tuple[float, float], radius: float, colour: Colour) -> None:
        x, y = at
        box = [(v * _TWICE) for v in (x - radius, y - radius, x + radius, y + radius)]
        self._draw.ellipse(box, fill=colour)

    def _limits(self) -> None:
        left, top, right, _ = PLOT
        for limit in self._graph.limits:
            if not self._low <= limit.value <= self._high:
                continue
            y, colour = self._y(limit.value), GOOD if limit.good else BAD
            for x in range(left, right, 24):
                self._line((x, y), (min(x + 14, right), y), colour, 3)
            above = y - 34 if y - 34 > top else y + 6
            self._text((left + 10, above), limit.label, 24, colour, halo=True, room=520)

    def _marks(self) -> None:
        """A line through the plot, its label above it. Each kind has a row of its own, so that labels never meet."""
        left, top, right, bottom = PLOT
        rows: dict[MarkKind, int] = {"alert": 0, "action": 1, "undo": 1}
        taken: dict[int, float] = {}
        for mark in sorted(self._graph.marks, key=lambda m: m.at):
            if not self._graph.start <= mark.at <= self._graph.end:
                continue
            x, colour, row = round(x_of(self._graph, mark.at)), MARKS[mark.kind], rows[mark.kind]
            y = top - 62 + 31 * row
            self._line((x, y + 6), (x, bottom), colour, 4)
            label = self._label(mark)
            width = self._width(label, 26)
            start = x + 8 if x + 8 + width <= right else x - 8 - width
            if start < taken.get(row, 0):
                continue
            taken[row] = start + width + 12
            self._text((max(left, start), y), label, 26, colour, halo=True)

    @staticmethod
    def _label(mark: Mark) -> str:
        return f"{mark.label} {mark.at:%H:%M}"

    # --- what stands around it ----------------------------------------------------------------------------------------

    def _axes(self) -> None:
        graph, (left, _, right, bottom) = self._graph, PLOT
        for value in ticks(self._low, self._high):
            y = self._y(value)
            self._line((left, y), (right, y), GRID, 2)
            if not graph.empty:
                self._text((left - 12, y - 16), humanise(value, graph.unit), 26, QUIET, right=True, room=left - 20)
        shown = time_ticks(graph.start, graph.end)
        days = graph.end.date() != graph.start.date()
        for at in shown:
            x = x_of(graph, at)
            self._line((x, bottom), (x, bottom + 8), QUIET, 2)
            text = f"{at:%d %b}" if days and (at.hour, at.minute) == (0, 0) else f"{at:%H:%M}"
            width = self._width(text, 26)
            self._text((min(max(left, x - width / 2), right - width), bottom + 12), text, 26, QUIET)
        self._line((left, bottom), (right, bottom), QUIET, 3)

    def _words(self) -> None:
        graph = self._graph
        self._text((24, 16), graph.title, 34, INK, room=WIDTH - 48, bold=True)
        self._text((24, 60), graph.subtitle, 24, QUIET, room=WIDTH - 400)
        self._text((WIDTH - 24, 60), f"UTC, until {graph.end:%Y-%m-%d %H:%M}", 24, QUIET, right=True)
        if graph.empty:
            self._text((WIDTH / 2 - 90, 340), "no data", 52, QUIET, halo=True)
        elif len(graph.curves) > 1:
            self._legend()

    def _legend(self) -> None:
        """Below the plot, three names in a row."""
        graph, room = self._graph, (WIDTH - 48) // 3
        for number, curve in enumerate(graph.curves):
            row, column = divmod(number, 3)
            x, y = 24 + column * room, HEIGHT - 66 + row * 32
            box = [v * _TWICE for v in (x, y + 5, x + 18, y + 23)]
            self._draw.rectangle(box, fill=CURVES[number % len(CURVES)])
            more = f"  +{graph.more} more" if graph.more and number == len(graph.curves) - 1 else ""
            name = self._fitted(curve.name, 22, room - 40 - self._width(more, 22))
            self._text((x + 26, y), f"{name}{more}", 22, INK, room=room - 20)

    # --- strokes and letters ------------------------------------------------------------------------------------------

    def _line(self, begin: tuple[float, float], end: tuple[float, float], colour: Colour, width: int) -> None:
        self._draw.line([(v * _TWICE) for v in (*begin, *end)], fill=colour, width=width * _TWICE)

    def _width(self, text: str, size: int) -> float:
        return _font(size).getlength(drawable(text)) / _TWICE

    def _fitted(self, text: str, size: int, room: float) -> str:
        text = drawable(text)[:300]
        if self._width(text, size) <= room:
            return text
        while text and self._width(f"{text}...", size) > room:
            text = text[:-1]
        return f"{text}..."

    def _text(
        self,
        at: tuple[float, float],
        text: str,
        size: int,
        colour: Colour,
        *,
        room: float = 600,
        right: bool = False,
        bold: bool = False,
        halo: bool = False,
    ) -> None:
        """`at` is the upper left corner, or the upper right one. `halo`: readable on top of a line."""
        shown = self._fitted(text, size, room)
        x, y = at
        x -= self._width(shown, size) if right else 0
        self._draw.text(
            (x * _TWICE, y * _TWICE),
            shown,
            font=_font(size),
            fill=colour,
            stroke_width=(1 if bold else 5 if halo else 0) * (1 if bold else _TWICE),
            stroke_fill=colour if bold else PAPER,
        )
