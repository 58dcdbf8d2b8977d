"""The lines of a Dockerfile around the instruction that failed, as BuildKit prints them.

The source of the form is solver/errdefs/source.go of moby/buildkit.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from magnet.values import frozen

_STEP = re.compile(r"\[(?:\S+/\S+ )?(?:(?P<stage>[^\]\s]+) )? *\d+/\d+\] (?P<text>.+)", re.DOTALL)
_UNNAMED = re.compile(r"stage-(\d+)")
_RULE = "-" * 20


@frozen
class Excerpt:
    """Where a step stands in a Dockerfile: the lines from `first` to `last`, from 1, and what is shown of them."""

    file: Path
    first: int
    last: int
    lines: tuple[str, ...]


@frozen
class _Instruction:
    stage: int
    stage_name: str
    text: str
    first: int
    last: int


def find(file: Path, step: str) -> Excerpt | None:
    """The excerpt for a step by BuildKit's name for it, as `[builder 2/3] RUN make`; None where it is not to be found.

    Engines show some with their variables expanded: of the instructions of its kind in its stage, the likest is taken.
    """
    match = _STEP.fullmatch(step)
    try:
        text = file.read_bytes().decode(errors="surrogateescape")
    except OSError:
        return None
    found = _likest(list(_instructions(text)), match["stage"] or "", match["text"]) if match else None
    if found is None:
        return None
    return Excerpt(file, found.first, found.last, tuple(_shown(file, text, found.first, found.last)))


def _instructions(text: str) -> Iterator[_Instruction]:
    from e2b_dockerfile_utils import DockerfileSyntaxError, parse_dockerfile_ast  # costs 8 ms

    try:
        ast = parse_dockerfile_ast(text.removeprefix("\ufeff"))
    except DockerfileSyntaxError:  # it was changed meanwhile
        return
    stage, name = -1, ""
    for one in ast.instructions:
        if one.name == "FROM":
            stage, name = stage + 1, one.args[2].lower() if len(one.args) == 3 else ""
        yield _Instruction(stage, name, _plain(one.original), one.start_line, one.end_line)


def _likest(instructions: list[_Instruction], stage: str, text: str) -> _Instruction | None:
    wanted = _plain(text)
    keyword = wanted.partition(" ")[0]
    there = [one for one in instructions if _is_in(one, stage) and one.text.partition(" ")[0] == keyword]
    from difflib import SequenceMatcher  # costs 5 ms, and only a failure needs it

    def likeness(one: _Instruction) -> float:
        return SequenceMatcher(None, one.text, wanted, autojunk=False).ratio()

    return max(there, key=likeness, default=None)


def _is_in(one: _Instruction, stage: str) -> bool:
    if not stage:
        return True
    unnamed = _UNNAMED.fullmatch(stage)
    return one.stage_name == stage.lower() or (unnamed is not None and one.stage == int(unnamed[1]))


def _plain(text: str) -> str:
    """An instruction with single spaces, and its keyword in capitals."""
    keyword, _, rest = " ".join(text.split()).partition(" ")
    return f"{keyword.upper()} {rest}".strip()


def _shown(file: Path, text: str, first: int, last: int) -> Iterator[str]:
    lines = text.split("\n")
    start, end = _padded(first, last, len(lines))
    yield f"{os.path.relpath(file)}:{first}"
    yield _RULE
    for number in range(start, end + 1):
        mark = ">>>" if first <= number <= last else "   "
        yield f" {number:3} | {mark} {lines[number - 1]}".rstrip()
    yield _RULE


def _padded(first: int, last: int, count: int) -> tuple[int, int]:
    """The lines to show: about two more on either side of a single one, one more around several."""
    start, end = first, last
    left = 4 if first == last else 2
    while left > 0:
        left -= 1
        if start > 1:
            start, left = start - 1, left - 1
        if end < count:
            end, left = end + 1, left - 1
    return start, end
