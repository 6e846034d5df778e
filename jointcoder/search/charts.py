"""Small charts as SVG text: the curve of the best so far, F1 against cost, the tree of plans, bounds of gains.

Colours come from the page's style sheet by class; every mark tells its figures in a ``<title>``. Knows numbers and
labels, nothing of searches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 12, 38
STEP_X, STEP_Y = 74, 30  # of the tree


@dataclass(frozen=True)
class Point:
    """One mark. ``kind`` is its class; ``label`` stands beside it, ``title`` appears on it."""

    x: float
    y: float
    kind: str
    title: str
    label: str = ""


@dataclass(frozen=True)
class _Axis:
    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def digits(self) -> int:
        """Decimals that tell neighbouring ticks apart."""
        step = (self.high - self.low) / 4
        return min(6, max(3, math.ceil(-math.log10(step)) + 1))

    def ticks(self, count: int = 5) -> list[float]:
        return [self.low + i * (self.high - self.low) / (count - 1) for i in range(count)]


def curve(points: Sequence[Point], *, x: str, y: str) -> str:
    """The points, and a line through the best so far. Those of kind "dropped" or "failed" do not count for it."""
    if not points:
        return ""
    across, up = _axes(points)
    best: list[tuple[float, float]] = []
    for point in points:
        if point.kind not in ("dropped", "failed") and (not best or point.y > best[-1][1]):
            best.append((point.x, point.y))
    path = ""
    if best:
        path = f"M{across.at(best[0][0]):.1f} {up.at(best[0][1]):.1f}"
        path += "".join(f"H{across.at(px):.1f}V{up.at(py):.1f}" for px, py in best[1:])
        path += f"H{across.at(max(point.x for point in points)):.1f}"
    return _figure(
        [*_frame(across, up, x, y, whole=True), f'<path class="best" d="{path}"/>', *_marks(points, across, up)]
    )


def scatter(points: Sequence[Point], *, x: str, y: str) -> str:
    """The points, and the front of those that no other beats in both (less x, more y)."""
    if not points:
        return ""
    across, up = _axes(points)
    front: list[Point] = []
    for point in sorted(points, key=lambda one: (one.x, -one.y)):
        if not front or point.y > front[-1].y:
            front.append(point)
    path = f"M{across.at(front[0].x):.1f} {up.at(front[0].y):.1f}"
    path += "".join(f"H{across.at(one.x):.1f}V{up.at(one.y):.1f}" for one in front[1:])
    path += f"H{across.end}"
    return _figure([*_frame(across, up, x, y), f'<path class="front" d="{path}"/>', *_marks(points, across, up)])


def bounds(rows: Sequence[tuple[str, float, float, float]]) -> str:
    """Intervals one below the other against zero: (label, value, low, high)."""
    if not rows:
        return ""
    low, high = min(0.0, *(row[2] for row in rows)), max(0.0, *(row[3] for row in rows))
    pad = (high - low or 0.1) * 0.08
    across = _Axis(low - pad, high + pad, 120, WIDTH - 2 * RIGHT)
    height = 26 * len(rows) + 34
    zero = across.at(0)
    parts = [f'<line class="zero" x1="{zero:.1f}" y1="6" x2="{zero:.1f}" y2="{height - 26}"/>']
    for i, (label, value, one, other) in enumerate(rows):
        y = 18 + 26 * i
        title = escape(f"{label}: {value:+.3f} [{one:+.3f}, {other:+.3f}]")
        parts.append(_text("label", 112, y + 4, label, "end"))
        parts.append(f'<line class="bound" x1="{across.at(one):.1f}" y1="{y}" x2="{across.at(other):.1f}" y2="{y}"/>')
        parts.append(
            f'<circle class="dot gain" cx="{across.at(value):.1f}" cy="{y}" r="4"><title>{title}</title></circle>'
        )
    for tick in across.ticks(5):
        parts.append(_text("tick", across.at(tick), height - 8, f"{tick:+.{across.digits}f}", "middle"))
    return _figure(parts, height=height)


def tree(parents: Mapping[int, int | None], points: Mapping[int, Point]) -> str:
    """Who came from whom: roots on the left, each row one plan. ``x`` and ``y`` of the points are not used."""
    children: dict[int | None, list[int]] = {}
    for number, parent in parents.items():
        children.setdefault(parent if parent in parents else None, []).append(number)
    places: dict[int, tuple[float, float]] = {}

    def lay(number: int, depth: int) -> None:
        below = children.get(number, [])
        for child in below:
            lay(child, depth + 1)
        row = len([one for one in places if not children.get(one)])
        heights = [places[child][1] for child in below]
        y = sum(heights) / len(heights) if heights else 20 + STEP_Y * row
        places[number] = (24 + STEP_X * depth, y)

    for root in children.get(None, []):
        lay(root, 0)
    if not places:
        return ""
    parts = []
    for number, parent in parents.items():
        if parent in places:
            (x1, y1), (x2, y2) = places[parent], places[number]
            middle = (x1 + x2) / 2
            bend = f"C{middle:.1f} {y1:.1f} {middle:.1f} {y2:.1f}"
            parts.append(f'<path class="edge" d="M{x1:.1f} {y1:.1f}{bend} {x2:.1f} {y2:.1f}"/>')
    for number, (x, y) in places.items():
        point = points[number]
        parts.append(_dot(x, y, point, radius=6))
        parts.append(_text("label", x + 10, y + 4, point.label))
    width = max(x for x, _ in places.values()) + STEP_X
    return _figure(parts, width=max(WIDTH, width), height=max(y for _, y in places.values()) + 24)


def _axes(points: Sequence[Point]) -> tuple[_Axis, _Axis]:
    xs, ys = [point.x for point in points], [point.y for point in points]
    across = _Axis(*_room(min(xs), max(xs), 0.03), LEFT, WIDTH - RIGHT)
    return across, _Axis(*_room(min(ys), max(ys), 0.08), HEIGHT - BOTTOM, TOP)


def _room(low: float, high: float, share: float) -> tuple[float, float]:
    pad = (high - low) * share or max(abs(high) * 0.1, 0.1)
    return max(low - pad, 0.0) if low >= 0 else low - pad, high + pad


def _frame(across: _Axis, up: _Axis, x: str, y: str, *, whole: bool = False) -> list[str]:
    parts = []
    for tick in up.ticks():
        at = up.at(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{at:.1f}" x2="{WIDTH - RIGHT}" y2="{at:.1f}"/>')
        parts.append(_text("tick", LEFT - 6, at + 4, f"{tick:.{up.digits}f}", "end"))
    ticks = across.ticks()
    if whole:
        count = int(across.high) - int(across.low)
        ticks = [float(n) for n in range(int(across.low) + 1, int(across.high) + 1, max(1, count // 8))]
    for tick in ticks:
        text = f"{tick:,.0f}" if whole or across.high >= 20 else f"{tick:.2f}"
        parts.append(_text("tick", across.at(tick), HEIGHT - BOTTOM + 16, text, "middle"))
    parts.append(_text("axis", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, x, "middle"))
    turned = f"translate(11 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)"
    parts.append(f'<g transform="{turned}">{_text("axis", 0, 0, y, "middle")}</g>')
    return parts


def _marks(points: Sequence[Point], across: _Axis, up: _Axis) -> list[str]:
    dots = [_dot(across.at(point.x), up.at(point.y), point) for point in points]
    named = [point for point in points if point.label]
    return dots + [_text("label", across.at(point.x) + 7, up.at(point.y) - 6, point.label) for point in named]


def _text(kind: str, x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _dot(x: float, y: float, point: Point, *, radius: int = 4) -> str:
    return (
        f'<circle class="dot {escape(point.kind)}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">'
        f"<title>{escape(point.title)}</title></circle>"
    )


def _figure(parts: Sequence[str], *, width: float = WIDTH, height: float = HEIGHT) -> str:
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>' + "".join(parts) + "</svg>"
