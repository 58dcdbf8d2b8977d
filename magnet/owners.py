"""The names after --chown, which BuildKit takes for root where it does not know them: they are looked up before.

A Dockerfile is built that ends, for each instruction with such a name, with the stage as it is before it, and copies
the lists of users and groups out of there. BuildKit keeps the steps for the build itself.
"""

import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from magnet.dockerfile import Dockerfile, Stage
from magnet.errors import MagnetfileError
from magnet.sources import Transfer
from magnet.values import frozen

_CHANGES_FILES = frozenset({"RUN", "COPY", "ADD"})
_LISTS = ("passwd", "group")


@frozen
class Look:
    """An instruction whose owner has a name in it, and its stage, which is to be seen as it is after line `until`."""

    transfer: Transfer
    stage: Stage
    until: int


def looks(dockerfile: Dockerfile, transfers: Iterable[Transfer]) -> tuple[Look, ...]:
    """The instructions whose owners have to be looked up. An ONBUILD is its stage's, and the engine's to look after."""
    found = []
    for transfer in transfers:
        if transfer.owner and not all(name.isdecimal() for name in transfer.owner.split(":") if name):
            stage = _stage_of(dockerfile, transfer.line)
            found += [Look(transfer, stage, _until(stage, transfer.line))] if stage else []
    return tuple(found)


def lookup(text: str, found: Sequence[Look], stages: int) -> str:
    """The text of a Dockerfile, of so many stages, whose last stage has the lists of users and groups of each."""
    lines = text.rstrip("\n").split("\n")
    more, copies = [], []
    for number, place in enumerate(_places(found)):
        more += [_without_name(place.stage), *lines[place.stage.start.end_line : place.until]]
        # Newer ones fail at what is not there unless it is a wildcard that finds nothing, the directory, too.
        copies.append(f"COPY --from={stages + number} /et[c]/passw[d] /et[c]/grou[p] /{number}/")
    return "\n".join([*lines, *more, "FROM scratch", *copies, ""])


def check(found: Sequence[Look], tar: Path, dockerfile: Path) -> None:
    """Raise MagnetfileError for the first owner whose name is not in the lists of its place."""
    lists = _lists(tar)
    numbers = {_place(place): number for number, place in enumerate(_places(found))}
    for look in found:
        number = numbers[_place(look)]
        user, _, group = (look.transfer.owner or "").partition(":")
        for kind, name, known in (("user", user, "passwd"), ("group", group, "group")):
            if name and not name.isdecimal() and name not in lists.get(f"{number}/{known}", ()):
                raise MagnetfileError(
                    f"`{dockerfile}`, line {look.transfer.line}: there is no {kind} `{name}` in the image here",
                    detail=[look.transfer.instruction],
                    hint=f"make the {kind} in a RUN before, or give its number",
                )


def named(step: str, found: Sequence[Look], stages: int) -> str:
    """The name of a step of the lookup, as it is in the build itself."""
    for number, place in enumerate(_places(found)):
        own = place.stage.name or f"stage-{place.stage.index}"
        step = step.replace(f"[stage-{stages + number} ", f"[{own.lower()} ")
    return step


def _places(found: Sequence[Look]) -> Iterable[Look]:
    """One look of each place: between two of them, nothing changes what is in the image."""
    return {_place(look): look for look in found}.values()


def _place(look: Look) -> tuple[int, int]:
    return look.stage.index, look.until


def _stage_of(dockerfile: Dockerfile, line: int) -> Stage | None:
    return next(
        (
            stage
            for stage in dockerfile.stages
            for one in stage.instructions
            if one.start_line == line and one.name in ("COPY", "ADD")
        ),
        None,
    )


def _until(stage: Stage, line: int) -> int:
    """The last line before an instruction that may have changed what is in the image."""
    changing = [one for one in stage.instructions if one.start_line < line and one.name in _CHANGES_FILES]
    return changing[-1].end_line if changing else stage.start.end_line


def _without_name(stage: Stage) -> str:
    return " ".join(("FROM", *stage.start.flags, stage.base))


def _lists(tar: Path) -> Mapping[str, frozenset[str]]:
    """The names in each list of the archive."""
    found = {}
    with tarfile.open(tar) as archive:
        for member in archive:
            if member.name.rpartition("/")[2] in _LISTS and (file := archive.extractfile(member)):
                text = io.TextIOWrapper(file, errors="surrogateescape")
                found[member.name.removeprefix("./")] = frozenset(line.partition(":")[0] for line in text)
    return found
