"""A workflow as a picture: one self-contained SVG, steps in boxes, level below level, arrows between them.

A small layered layout after Sugiyama (1981): the level of a step is its longest way from the beginning; an arrow that
passes levels by gets a place on each of them; within a level boxes stand where their neighbours' mean is. Boxes of
steps that may ask the model are filled. Needs no font, style or script of its own, and no library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from unicodedata import east_asian_width

from jointcoder.workflow.check import Plan
from jointcoder.workflow.graph import edges, levels

LETTER, LINE, PADDING = 7.2, 17.0, 10.0  # width of a letter, height of a line, space inside a box; pixels
MOST_LINES = 2  # of a box: its id and, where it is another, its component
ROW, COLUMN, THIN = 78.0, 28.0, 18.0  # from level to level, between boxes, width of an arrow that passes by
MARGIN, TITLE = 20.0, 44.0
SWEEPS = 12  # over all levels, down and up, to bring neighbours together
FONT = "ui-monospace, Menlo, Consolas, 'Noto Sans Mono CJK SC', monospace"


@dataclass
class _Place:
    """A box, or the place where an arrow passes a level (``lines`` empty)."""

    lines: tuple[str, ...]
    asks: bool
    level: int
    width: float
    x: float = 0.0  # of the middle

    @property
    def height(self) -> float:
        return LINE * (len(self.lines) or MOST_LINES) + PADDING


def svg(plan: Plan) -> str:
    """The picture of a checked workflow."""
    places, links = _graph(plan)
    rows = _rows(places, links)
    left = min(place.x - place.width / 2 for place in places.values())
    for place in places.values():
        place.x += MARGIN - left
    flow = plan.workflow
    title = f"{flow.name} {flow.version} · {flow.hash[:12]}"
    texts = [title, *([flow.source] if flow.source else [])]
    width = max([place.x + place.width / 2 for place in places.values()] + [MARGIN + _wide(text) for text in texts])
    height = TITLE + ROW * (len(rows) - 1) + max(place.height for place in places.values()) + 2 * MARGIN
    body = [_text(MARGIN, MARGIN + 4, title, bold=True)]
    body += [_text(MARGIN, MARGIN + 4 + LINE, flow.source)] if flow.source else []
    body += [_arrow(places[one], places[other]) for one, other in links]
    body += [_box(place) for place in places.values() if place.lines]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + MARGIN:.0f}" height="{height:.0f}" '
            f'viewBox="0 0 {width + MARGIN:.0f} {height:.0f}" font-family="{FONT}" font-size="12">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0 8 4 0 8z" fill="#667"/></marker></defs>',
            '<rect width="100%" height="100%" fill="#fff"/>',
            *body,
            "</svg>\n",
        ]
    )


def _graph(plan: Plan) -> tuple[dict[str, _Place], list[tuple[str, str]]]:
    """Boxes and passing places by id, and the links between neighbouring levels."""
    level = levels(plan.workflow)
    specs = {spec.id: spec for spec in plan.workflow.step}
    places: dict[str, _Place] = {}
    for step_id, step in plan.steps:
        lines = (step_id, *((specs[step_id].use,) if specs[step_id].use != step_id else ()))
        width = max(map(_wide, lines)) + 2 * PADDING
        places[step_id] = _Place(lines, step.asks, level[step_id], width)
    links: list[tuple[str, str]] = []
    for before, after in edges(plan.workflow):
        here = before
        for between in range(level[before] + 1, level[after]):
            passing = f"{before}\n{after}\n{between}"  # no id holds a line break
            places[passing] = _Place((), False, between, THIN)
            links.append((here, passing))
            here = passing
        links.append((here, after))
    return places, links


def _rows(places: Mapping[str, _Place], links: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Ids level by level, left to right; sets the places' ``x``."""
    rows: list[list[str]] = [[] for _ in range(1 + max(place.level for place in places.values()))]
    for name, place in places.items():
        rows[place.level].append(name)
    above: dict[str, list[str]] = {name: [] for name in places}
    below: dict[str, list[str]] = {name: [] for name in places}
    for one, other in links:
        below[one].append(other)
        above[other].append(one)
    for row in rows:
        _pack(row, places, dict.fromkeys(row, 0.0))
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            near = above if down else below
            wanted = {
                name: sum(places[other].x for other in near[name]) / len(near[name]) if near[name] else places[name].x
                for name in row
            }
            row.sort(key=lambda name: (wanted[name], places[name].x))
            _pack(row, places, wanted)
    return rows


def _pack(row: Sequence[str], places: Mapping[str, _Place], wanted: Mapping[str, float]) -> None:
    """Boxes of a row side by side in their order, as near as may be to where they are wanted."""
    offsets = [0.0]
    for one, other in pairwise(row):
        offsets.append(offsets[-1] + (places[one].width + places[other].width) / 2 + COLUMN)
    # Blocks of boxes that touch move together to the mean of what their boxes want.
    blocks: list[tuple[float, int]] = []  # (mean of wanted − offset, number of boxes)
    for name, offset in zip(row, offsets, strict=True):
        blocks.append((wanted[name] - offset, 1))
        while len(blocks) > 1 and blocks[-1][0] < blocks[-2][0]:
            (here, n), (there, m) = blocks[-2:]
            blocks[-2:] = [((here * n + there * m) / (n + m), n + m)]
    shifts = [shift for shift, count in blocks for _ in range(count)]
    for name, offset, shift in zip(row, offsets, shifts, strict=True):
        places[name].x = offset + shift


def _y(place: _Place) -> float:
    return TITLE + MARGIN + ROW * place.level


def _box(place: _Place) -> str:
    x, y = place.x - place.width / 2, _y(place)
    fill, line = ("#dfe9fb", "#3a62b0") if place.asks else ("#f4f4f2", "#88867e")
    drawn = [
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{place.width:.1f}" height="{place.height:.1f}" rx="5" '
        f'fill="{fill}" stroke="{line}"/>'
    ]
    for number, text in enumerate(place.lines):
        drawn.append(_text(place.x, y + LINE * (number + 1) + 1, text, middle=True, bold=number == 0, pale=number > 0))
    return "\n".join(drawn)


def _arrow(one: _Place, other: _Place) -> str:
    """From the lower edge of one to the upper edge of the other, with a tip where it ends at a box; straight on where
    it passes a level by."""
    x1, y1, x2, y2 = one.x, _y(one) + one.height, other.x, _y(other)
    middle = (y1 + y2) / 2
    tip, on = (' marker-end="url(#tip)"', "") if other.lines else ("", f"V{y2 + other.height:.1f}")
    return (
        f'<path d="M{x1:.1f} {y1:.1f}C{x1:.1f} {middle:.1f} {x2:.1f} {middle:.1f} {x2:.1f} {y2:.1f}{on}" '
        f'fill="none" stroke="#667"{tip}/>'
    )


def _text(x: float, y: float, text: str, *, middle: bool = False, bold: bool = False, pale: bool = False) -> str:
    look = "".join(
        [
            ' text-anchor="middle"' if middle else "",
            ' font-weight="600"' if bold else "",
            ' fill="#556"' if pale else ' fill="#112"',
        ]
    )
    return f'<text x="{x:.1f}" y="{y:.1f}"{look}>{escape(text)}</text>'


def _wide(text: str) -> float:
    """Width of a text in pixels: Chinese letters take two places."""
    return LETTER * sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)
