"""The end of a run as it is shown: the summary, and the last lines of what failed."""

import os
from collections.abc import Container
from typing import TextIO

from magnet.printing import plain
from magnet.progress.board import summary
from magnet.progress.trace import TAIL_LINES, Node, Trace, has_failed

PLAIN_WIDTH = 80
"""The width of the summary where there is no terminal to measure."""


def print_end(trace: Trace, seen: Container[str], out: TextIO, now: int, width: int, *, colour: bool = False) -> None:
    """Print the summary of a run that has ended, then the last lines of what failed in it, and the warnings.

    Left out is a target that printed nothing, and one whose output went straight to the terminal: it was `seen` there.
    """
    text = summary(trace, now, width, colour=colour) if trace.targets else []
    for node in trace.failed:
        if node.vertex.digest not in seen:
            text += failure(node)
    text += [line for node in trace.nodes.values() for line in warnings(trace, node)]
    for line in text:
        print(line, file=out)
    out.flush()


def failure(node: Node) -> list[str]:
    """The last lines of a target that failed, those of the step that failed first, as BuildKit frames them."""
    step = next((child for child in node.children if not child.vertex.is_child and has_failed(child)), None)
    last = [step.vertex.name, *_last_lines(step)] if step else _last_lines(node)
    return [*map(plain, ["------", f" > {node.path}:", *last, "------"])] if last else []


def warnings(trace: Trace, node: Node) -> list[str]:
    """What was warned of at a vertex, and where more is said of it."""
    target = trace.target(node.vertex.digest)
    found = []
    for one in node.warnings:
        place = f"{one.file}:{one.range[0].start}: " if one.file and one.range else ""
        step = "" if node is target else f"{node.vertex.name}: "
        found += [
            f"warning: target `{target.path}`: {step}{place}{one.short}",
            *(f"  {line}" for line in one.detail),
        ]
        found += [f"hint: see {one.url}"] if one.url else []
    return [*map(plain, found)]


def _last_lines(node: Node) -> list[str]:
    """The last lines of a vertex, and how many there are before them."""
    last = node.tail(TAIL_LINES)
    before = node.line_count - len(last)
    return [f"({before:,} more lines stand before these in the log)", *last] if before > 0 else last


def columns(out: TextIO) -> int:
    """How wide a terminal is, as rich and other programs find it."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    try:
        return os.get_terminal_size(out.fileno()).columns or PLAIN_WIDTH
    except OSError:
        return PLAIN_WIDTH
