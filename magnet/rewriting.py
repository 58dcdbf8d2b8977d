"""The Dockerfile that an engine is given where it would not do with the user's what others do.

What is taken out leaves a comment, so that every instruction keeps its line but where a step is put in.
"""

import re
from collections.abc import Iterable
from itertools import takewhile
from typing import TYPE_CHECKING

from magnet.dockerfile import Dockerfile, Layout, Stage, is_directive
from magnet.model import SCRATCH
from magnet.values import frozen

if TYPE_CHECKING:
    from e2b_dockerfile_utils import DockerfileInstruction

_NOTHING = "#"

EMPTY_CONTEXT = "magnet-nothing"
"""The named context that is an empty directory: what a step copies from it changes nothing, and yet is a step."""


@frozen
class Changes:
    """What an engine's Dockerfile must differ in: without its `# syntax=`, with its VOLUMEs at the end, with nothing in
    the stages that are not needed and the bases of the others written out, or with the wanted stage as the last.
    After each of the lines `then_nothing`, nothing is copied.
    """

    no_syntax: bool = False
    volumes_last: bool = False
    only_needed: bool = False
    nothing_after: bool = False
    then_nothing: tuple[int, ...] = ()


def rewritten(text: str, dockerfile: Dockerfile, layout: Layout, changes: Changes) -> str:
    """The text of a Dockerfile with these changes."""
    lines = text.split("\n")
    if changes.only_needed:
        for stage in dockerfile.stages:
            _keep_what_is_needed(lines, stage, layout)
    if changes.volumes_last:
        for stage in dockerfile.stages:
            _take_out(lines, [one for one in stage.instructions if one.name == "VOLUME"])
    if changes.nothing_after or changes.volumes_last:
        lines[layout.end :] = [_NOTHING for _ in lines[layout.end :]]
    if changes.volumes_last and layout.volumes:
        lines += [_volumes(layout, dockerfile.escape), ""]
    if changes.no_syntax:
        _take_out_syntax(lines)
    for line in sorted(changes.then_nothing, reverse=True):
        lines.insert(line, f"COPY --from={EMPTY_CONTEXT} . /")
    return "\n".join(lines)


def _keep_what_is_needed(lines: list[str], stage: Stage, layout: Layout) -> None:
    """Leave a stage that is not needed its number and its name, and write out what a needed one starts from."""
    base = layout.bases.get(stage.index)
    if base is None:
        _take_out(lines, stage.instructions)
    if base is None or stage.platform or "$" in stage.base:
        _take_out(lines, [stage.start])
        lines[stage.line - 1] = f"FROM {base or SCRATCH}{f' AS {stage.name}' if stage.name else ''}"


def _take_out(lines: list[str], instructions: "Iterable[DockerfileInstruction]") -> None:
    for one in instructions:
        for number in range(one.start_line - 1, one.end_line):
            lines[number] = _NOTHING


def _take_out_syntax(lines: list[str]) -> None:
    """Take out the `# syntax=`; the other directives move up, for a comment would be the end of them.

    Podman and buildah know no other than `# escape=`, and that in the first line only.
    """
    directives = list(takewhile(is_directive, lines))
    kept = [line for line in directives if not is_directive(line, "syntax")]
    kept.sort(key=lambda line: not is_directive(line, "escape"))
    lines[: len(directives)] = kept + [_NOTHING] * (len(directives) - len(kept))


def _volumes(layout: Layout, escape: str) -> str:
    import json

    paths = [
        re.sub(rf"[$\"'{re.escape(escape)}]", lambda found: f"{escape}{found[0]}", path or "")
        for path in layout.volumes
    ]
    return f"VOLUME {json.dumps(paths, ensure_ascii=False)}"
