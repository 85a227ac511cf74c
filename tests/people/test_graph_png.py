"""The picture itself, by its pixels: what must be seen is there, where it belongs, and nothing hangs out."""

import io
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from remediator.people.graph import Curve, Graph, Limit, Mark, bounds
from remediator.people.graph_png import CURVES, GOOD, HEIGHT, MARKS, PAPER, PLOT, WIDTH, draw, drawable, x_of
from remediator.people.pictures import MAX_BYTES
from tests.people.hostile import hostile_text

NOW = datetime(2025, 6, 2, 3, 5, 10, tzinfo=UTC)
STEP = timedelta(seconds=30)
LEFT, TOP, RIGHT, BOTTOM = PLOT
Colour = tuple[int, int, int]


def curve(name: str = "all", scale: float = 0.2, gap: range = range(0)) -> Curve:
    values = [None if i in gap else scale * (1 + math.sin(i / 9)) / 2 for i in range(121)]
    return Curve(name=name, points=tuple((NOW - STEP * (120 - i), v) for i, v in enumerate(values)))


ALERT = Mark(kind="alert", at=NOW - timedelta(minutes=33), label="alert")
ACTION = Mark(kind="action", at=NOW - timedelta(minutes=12), label="rollback")
GRAPH = Graph(
    title="rollback-bad-release: error ratio of http_requests_total",
    subtitle="Deployment shop/checkout, cluster prod-eu",
    start=NOW - timedelta(hours=1),
    end=NOW,
    step=STEP,
    curves=(curve(),),
    marks=(ALERT, ACTION),
    limits=(Limit(value=0.02, good=True, label="good < 2 %"),),
    unit="ratio",
)


def picture(graph: Graph) -> Image.Image:
    return Image.open(io.BytesIO(draw(graph))).convert("RGB")


def near(a: object, b: Colour) -> bool:
    """Few colours are kept, so each may have moved a little."""
    assert isinstance(a, tuple)
    return max(abs(x - y) for x, y in zip(a, b, strict=True)) <= 28


def column(image: Image.Image, x: float, colour: Colour) -> int:
    """How many pixels of the plot's column have the colour."""
    return sum(near(image.getpixel((round(x), y)), colour) for y in range(TOP, BOTTOM))


def row(image: Image.Image, y: float, colour: Colour) -> int:
    return sum(near(image.getpixel((x, round(y))), colour) for x in range(LEFT, RIGHT))


def test_size_kind_and_weight() -> None:
    png = draw(GRAPH)
    assert png.startswith(b"\x89PNG")
    assert picture(GRAPH).size == (WIDTH, HEIGHT) == (1200, 675)
    many = replace(GRAPH, curves=tuple(curve(f"pod-{i}", 0.1 * (i + 1)) for i in range(6)), more=3)
    assert max(len(png), len(draw(many))) < MAX_BYTES


def test_the_same_graph_is_the_same_picture() -> None:
    assert draw(GRAPH) == draw(replace(GRAPH))


def test_alert_and_action_stand_where_they_happened() -> None:
    image = picture(GRAPH)
    height = BOTTOM - TOP
    for mark in (ALERT, ACTION):
        x, colour = x_of(GRAPH, mark.at), MARKS[mark.kind]
        assert column(image, x, colour) > height * 0.9
        assert column(image, x - 9, colour) == column(image, x + 9, colour) == 0
    assert not column(picture(replace(GRAPH, marks=())), x_of(GRAPH, ALERT.at), MARKS["alert"])


def test_what_happened_outside_is_not_drawn() -> None:
    early = replace(GRAPH, marks=(replace(ALERT, at=NOW - timedelta(hours=2)),))
    assert draw(early) == draw(replace(GRAPH, marks=()))


def test_the_limit_is_a_dashed_line_at_its_height() -> None:
    low, high = bounds(GRAPH)
    y = BOTTOM - (BOTTOM - TOP) * (0.02 - low) / (high - low)
    image = picture(replace(GRAPH, curves=(curve(scale=0.2, gap=range(40, 121)),), marks=()))
    assert (RIGHT - LEFT) * 0.4 < row(image, y, GOOD) < (RIGHT - LEFT) * 0.8
    assert row(picture(replace(GRAPH, limits=())), y, GOOD) < 40


def test_a_gap_is_white() -> None:
    image = picture(replace(GRAPH, curves=(curve(gap=range(50, 71)),), marks=(), limits=()))
    drawn = [column(image, x_of(GRAPH, NOW - STEP * (120 - i)), CURVES[0]) for i in range(121)]
    assert all(count > 0 for count in (*drawn[2:49], *drawn[72:118]))
    assert not any(drawn[51:70])


def test_one_lonely_point_is_seen() -> None:
    lonely = Curve(name="", points=((NOW - timedelta(minutes=30), 0.1),))
    image = picture(replace(GRAPH, curves=(lonely,), marks=(), limits=()))
    assert column(image, x_of(GRAPH, NOW - timedelta(minutes=30)), CURVES[0]) >= 8


def test_without_data_it_says_so() -> None:
    image = picture(replace(GRAPH, curves=(), marks=(), limits=()))
    assert not any(column(image, x, CURVES[0]) for x in range(LEFT, RIGHT, 10))
    middle = [image.getpixel((x, y)) for x in range(480, 760) for y in range(340, 400)]
    assert sum(not near(pixel, PAPER) for pixel in middle) > 500, "the words"


def edges_are_clean(image: Image.Image) -> bool:
    top = [(x, y) for x in range(WIDTH) for y in (0, 1, HEIGHT - 2, HEIGHT - 1)]
    sides = [(x, y) for y in range(HEIGHT) for x in (0, 1, WIDTH - 2, WIDTH - 1)]
    return all(image.getpixel(at) == PAPER for at in (*top, *sides))


def test_long_words_stay_inside() -> None:
    long = replace(
        GRAPH,
        title="t" * 400,
        subtitle="s" * 400,
        curves=tuple(curve("pod-" + "x" * 80 + str(i)) for i in range(6)),
        more=1234,
        marks=tuple(replace(m, label="a very long name of an action " * 3) for m in (ALERT, ACTION)),
        limits=(Limit(value=0.1, good=False, label="bad > " + "9" * 200),),
    )
    assert edges_are_clean(picture(long))


def test_a_mark_at_the_edge_keeps_its_label_inside() -> None:
    for at in (GRAPH.start, NOW):
        assert edges_are_clean(picture(replace(GRAPH, marks=(replace(ACTION, at=at),))))


def test_only_what_the_font_has_is_drawn() -> None:
    assert drawable("caf\u00e9 3 → 5 \u4e2d … ok") == "cafe 3 -> 5 ? ... ok"
    assert drawable("a\u202eb\x00c") == "a?b?c"


@settings(max_examples=15, deadline=None)
@given(hostile_text, hostile_text, st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_no_label_and_no_number_breaks_the_picture(title: str, name: str, value: float) -> None:
    points = ((NOW - STEP, value), (NOW, value / 2))
    graph = replace(GRAPH, title=title, subtitle=name, curves=(Curve(name=name, points=points),) * 2)
    image = picture(graph)
    assert image.size == (WIDTH, HEIGHT)
    assert edges_are_clean(image)
