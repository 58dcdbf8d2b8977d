"""Contexts beside the main one, which a Dockerfile knows by names: directories, and images.

A name stands for what it means wherever a Dockerfile could name an image: in FROM, in `COPY --from` and in the `from`
of a RUN's mount. Engines do not agree on names that differ from the one in the Dockerfile, nor on whose ignore file
counts in a directory: so a name is taken as it is written, and a directory is handed over staged, without what its own
`.containerignore` or `.dockerignore` ignores.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from magnet import context, reading
from magnet.errors import MagnetfileError
from magnet.index import FileIndex, Tree
from magnet.memory import Memory
from magnet.meter import Measure, unmeasured
from magnet.model import SCRATCH, Image
from magnet.values import frozen
from magnet.workspace import BUILD_DIRECTORY

Given = Path | str | Image
"""A directory, an image by its name, or an image that is here."""

_IMAGE = re.compile(r"(?:docker-image|container-image)://(.+)", re.DOTALL)
_ELSEWHERE = re.compile(r"(https?|git|ssh|oci-layout|target|docker)://|[\w.-]+@[\w.-]+:")
_NAME = re.compile(r"[a-z0-9][a-z0-9._/:@-]*")


@frozen
class Directory:
    """A directory that is a named context, and what of it is not ignored."""

    path: Path
    tree: Tree


def parse(contexts: Mapping[str, Given], root: Path) -> dict[str, Given]:
    """What was given by name: paths, which are relative to `root` or absolute, `docker-image://NAME`, images."""
    return {_checked(name): _given(name, given, root) for name, given in contexts.items()}


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name) or name == SCRATCH:
        raise MagnetfileError(
            f"`{name}` cannot be the name of a build context",
            hint="use lower-case letters and digits, as in the name of a stage or an image",
        )
    return name


def _given(name: str, given: Given, root: Path) -> Given:
    if isinstance(given, Image):
        return given
    if match := _IMAGE.fullmatch(str(given)):
        return match[1]
    path = Path(os.path.abspath(root / os.path.expanduser(given)))
    if path.is_dir():
        return path
    if _ELSEWHERE.match(str(given)):
        hint = "fetch it first, and name the directory, or an image as `docker-image://NAME`"
        raise MagnetfileError(f"the build context `{name}` is neither a directory nor an image: {given}", hint=hint)
    raise MagnetfileError(
        f"the build context `{name}` is not a directory: {path}",
        hint="correct the path, which is relative to the magnetfile's directory; an image is `docker-image://NAME`",
    )


def used(
    contexts: Mapping[str, Given], bases: Iterable[str], instructions: Iterable[Sequence[object]]
) -> dict[str, Given]:
    """Those that stages take something from; MagnetfileError where a stage has the name of one.

    `bases` and `instructions` are those of a Reading.
    """
    stages = {str(words[2]).lower() for words in instructions if words[0] == "FROM"}
    if twice := next((name for name in contexts if name in stages), None):
        raise MagnetfileError(
            f"`{twice}` is a build context and a stage of the Dockerfile", hint="give the context another name"
        )
    return {name: contexts[name] for name in bases if name in contexts}


def look(
    contexts: Mapping[str, Given], root: Path, index: FileIndex, memory: Memory, measure: Measure = unmeasured
) -> dict[str, Directory]:
    """The directories among the contexts, as they are now."""
    return {
        name: Directory(path, _tree(path, root, index, memory, measure))
        for name, path in contexts.items()
        if isinstance(path, Path)
    }


def _tree(directory: Path, root: Path, index: FileIndex, memory: Memory, measure: Measure) -> Tree:
    files = (directory / name for name in (".containerignore", ".dockerignore"))
    ignore = next((path for path in files if path.is_file()), None)
    ignored = reading.read_ignore_file(ignore, memory) if ignore else ()
    never = root / BUILD_DIRECTORY
    name = repr(("named", os.path.realpath(directory), ignored, str(never)))
    return index.tree(name, lambda: context.selected(directory, (), ignored, never), measure)
