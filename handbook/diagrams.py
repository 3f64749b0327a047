"""Sequence diagrams: text in, SVG out.

`name: Label` names a participant, `a -> b: text` is a request, `a --> b: text` an answer,
`note a: text` stands below one participant, `title: text` is what a screen reader says.
"""

from __future__ import annotations

import re
from html import escape
from typing import NamedTuple

COLUMN, ROW, TOP, MARGIN = 220, 46, 64, 24
_STEP = re.compile(r"(\w+) (-->|->) (\w+): (.+)")
_LINE = re.compile(r"(note )?(\w+): (.+)")

STYLE = """
svg { font: 13px system-ui, sans-serif; }
.paper { fill: #fff; } .box { fill: #eef2f1; stroke: #49605b; } .life { stroke: #9aaaa6; }
.arrow { stroke: #1d5c50; fill: none; } .head { fill: #1d5c50; } text { fill: #1a2421; }
.note { fill: #fff6d8; stroke: #b79a3c; } .answer { stroke-dasharray: 5 4; }
@media (prefers-color-scheme: dark) {
.paper { fill: #14191a; } .box { fill: #22302d; stroke: #7d948f; } .life { stroke: #50625e; }
.arrow { stroke: #7fd1c0; } .head { fill: #7fd1c0; } text { fill: #e6eeec; }
.note { fill: #3a3214; stroke: #b79a3c; }
}
"""


class Step(NamedTuple):
    """A message between two participants, or a note below one of them."""

    source: str
    target: str
    text: str
    is_answer: bool = False


def read(text: str) -> tuple[str, dict[str, str], list[Step]]:
    """Returns title, participants and steps; raises ValueError with the line that is wrong."""
    title, people, steps = "", {}, []
    for line in filter(None, map(str.strip, text.splitlines())):
        if step := _STEP.fullmatch(line):
            steps.append(Step(step[1], step[3], step[4], step[2] == "-->"))
        elif not (found := _LINE.fullmatch(line)):
            raise ValueError(f"not a line of a diagram: {line!r}")
        elif found[1]:
            steps.append(Step(found[2], found[2], found[3]))
        elif found[2] == "title":
            title = found[3]
        else:
            people[found[2]] = found[3]
        if steps and not {steps[-1].source, steps[-1].target} <= people.keys():
            raise ValueError(f"unknown participant: {line!r}")
    return title, people, steps


def svg(text: str) -> str:
    """Returns the diagram as an SVG that follows the reader's light or dark preference."""
    title, people, steps = read(text)
    places = {name: MARGIN + COLUMN // 2 + COLUMN * at for at, name in enumerate(people)}
    width = 2 * MARGIN + COLUMN * len(people)
    height = TOP + ROW * (len(steps) + 1) + MARGIN
    shapes = [
        shape for name, label in people.items() for shape in _person(places[name], label, height)
    ]
    for at, step in enumerate(steps, 1):
        shapes += _step(step, places, TOP + ROW * at)
    said = "; ".join(
        f"{people[step.source]}: {step.text}" if step.source == step.target
        else f"{people[step.source]} to {people[step.target]}: {step.text}"
        for step in steps
    )  # fmt: skip
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(said)}</desc>",
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{width}" height="{height}" rx="8"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def _person(x: int, label: str, height: int) -> list[str]:
    left, width = x - 90, 180
    return [
        f'<line class="life" x1="{x}" y1="52" x2="{x}" y2="{height - 16}"/>',
        f'<rect class="box" x="{left}" y="16" width="{width}" height="36" rx="6"/>',
        f'<text x="{x}" y="39" text-anchor="middle" font-weight="600">{escape(label)}</text>',
    ]


def _step(step: Step, places: dict[str, int], y: int) -> list[str]:
    start, end = places[step.source], places[step.target]
    if step.source == step.target:
        return _note(step.text, start, y, max(places.values()) + COLUMN // 2)
    back = -1 if end > start else 1
    kind = "arrow answer" if step.is_answer else "arrow"
    tip = f"{end},{y} {end + 8 * back},{y - 4} {end + 8 * back},{y + 4}"
    middle, words = (start + end) // 2, _wrapped(step.text, abs(end - start) - 20)
    lines = [
        f'<text x="{middle}" y="{y - 6 - 15 * above}" text-anchor="middle">{escape(word)}</text>'
        for above, word in enumerate(reversed(words))
    ]
    return [
        f'<line class="{kind}" x1="{start}" y1="{y}" x2="{end}" y2="{y}"/>',
        f'<polygon class="head" points="{tip}"/>',
        *lines,
    ]


def _note(text: str, x: int, y: int, right: int) -> list[str]:
    width = 7 * len(text) + 24
    left = max(8, min(x - width // 2, right - width))
    return [
        f'<rect class="note" x="{left}" y="{y - 20}" width="{width}" height="26" rx="4"/>',
        f'<text x="{left + width // 2}" y="{y - 3}" text-anchor="middle">{escape(text)}</text>',
    ]


def _wrapped(text: str, width: int) -> list[str]:
    """Returns the text in at most two lines, of about seven units a letter."""
    if 7 * len(text) <= width:
        return [text]
    middle = len(text) // 2
    blanks = [at for at, letter in enumerate(text) if letter == " "]
    cut = min(blanks, key=lambda at: abs(at - middle), default=0)
    return [text[:cut], text[cut + 1 :]] if cut else [text]
