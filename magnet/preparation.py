"""From what a target asks for to what an engine is given: the Dockerfile, the ignore file, the context on disk."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from magnet import context as contexts
from magnet import dockerfile
from magnet.backends.base import Backend
from magnet.digest import tree_digest
from magnet.dockerfile import Dockerfile
from magnet.errors import EngineError, MagnetfileError
from magnet.model import EMPTY, BuildRequest, Copy, Option, Platform, Pull
from magnet.process import Shell
from magnet.staging import stage
from magnet.workspace import BUILD_DIRECTORY


@dataclass(frozen=True)
class Recipe:
    """A build as a target asks for it. Paths are relative to the project, or absolute."""

    directory: str | Path = "."
    file: str | Path | None = None
    context: Sequence[Copy] | None = None
    tags: tuple[str, ...] = ()
    build_args: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    stage: str | None = None
    pull: Pull = "missing"
    no_cache: bool = False
    labels: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    platform: Platform | None = None
    options: tuple[Option, ...] = ()


def prepare(recipe: Recipe, root: Path, backend: Backend, shell: Shell, scratch: Path) -> BuildRequest:
    """The request that builds the recipe, with its context and ignore file in `scratch`.

    Base images are fetched here when the recipe's pull policy says so: engines differ in what their own means.
    """
    directory = _directory(root, recipe.directory)
    file = _dockerfile(root, directory, recipe.file)
    parsed = dockerfile.parse(file)
    parsed.stage(recipe.stage)  # must exist
    _fetch_bases(recipe, parsed, backend, shell)
    context, dockerfile_given, ignorefile = _context(recipe, root, directory, file, backend, shell, scratch)
    return BuildRequest(
        context=context,
        dockerfile=dockerfile_given,
        ignorefile=ignorefile,
        iidfile=scratch / "iid",
        tags=recipe.tags,
        build_args=recipe.build_args,
        stage=None if recipe.stage is None else parsed.target(recipe.stage),
        no_cache=recipe.no_cache,
        labels=recipe.labels,
        platform=recipe.platform,
        options=recipe.options,
    )


def _directory(root: Path, name: str | Path) -> Path:
    directory = Path(os.path.abspath(root / name))
    if not directory.is_dir():
        raise MagnetfileError(f"the build context `{name}` is not a directory", hint=f"looked for it in {root}")
    return directory


def _dockerfile(root: Path, directory: Path, name: str | Path | None) -> Path:
    if name is None:
        return dockerfile.find(directory)
    file = Path(os.path.abspath(root / name))
    if not file.is_file():
        raise MagnetfileError(f"there is no Dockerfile `{name}`", hint=f"looked for it in {root}")
    return file


def _fetch_bases(recipe: Recipe, parsed: Dockerfile, backend: Backend, shell: Shell) -> None:
    if recipe.pull == "missing":
        # The engine does just that by itself, in the course of the build.
        return
    for base in parsed.bases(recipe.stage, recipe.build_args, recipe.platform):
        backend.resolve(base, shell, pull=recipe.pull, platform=recipe.platform)


def _context(
    recipe: Recipe, root: Path, directory: Path, file: Path, backend: Backend, shell: Shell, scratch: Path
) -> tuple[Path, Path, Path | None]:
    """The context, the Dockerfile and the ignore file that the engine is given.

    Files that are declared, or that the legacy builder is to see, are staged: hard links in a directory that is
    named by their digest, for BuildKit keys what it has of a context by that name. Else the engine is given the
    project's directory itself.
    """
    never = root / BUILD_DIRECTORY
    is_legacy = backend.engine.builder == "legacy"
    ignore = contexts.find_ignore_file(directory, file)
    patterns = contexts.read_ignore_file(ignore) if ignore else ()
    if recipe.context is None and not is_legacy:
        shut = _below(never, directory)
        return directory, *_ignoring((*patterns, *shut), file, backend, scratch)
    if recipe.context is None:
        entries = contexts.whole(directory, patterns, never)
        hidden = ignore is not None and ignore.name == ".dockerignore"
    else:
        entries = contexts.declared(recipe.context, root, never)
        hidden = False
    if is_legacy and not hidden and any(entry.path == b".dockerignore" for entry in entries):
        raise EngineError(
            "the legacy builder would apply the `.dockerignore` at the root of this context, which is not meant for it",
            hint='leave it out, as with Copy(..., exclude=".dockerignore"), or install docker\'s buildx plugin',
        )
    staged = scratch / tree_digest(entries)
    if not shell.dry_run:
        stage(entries, staged)
    if is_legacy:
        return staged, file, None
    return staged, *_ignoring((), file, backend, scratch)


def _ignoring(patterns: Sequence[str], file: Path, backend: Backend, scratch: Path) -> tuple[Path, Path | None]:
    """The Dockerfile and the ignore file with which an engine ignores just these patterns.

    Podman and buildah are told the ignore file. BuildKit reads `<Dockerfile>.dockerignore`, so that it gets a copy
    of the Dockerfile with one beside it. Both then read no other.
    """
    text = "".join(f"{pattern}\n" for pattern in patterns) or "# nothing\n"
    if backend.engine.builder == "buildah":
        ignorefile = scratch / "ignore"
        ignorefile.write_text(text, "utf-8", "surrogateescape")
        return file, ignorefile
    copy = scratch / file.name
    shutil.copyfile(file, copy)
    copy.with_name(f"{copy.name}.dockerignore").write_text(text, "utf-8", "surrogateescape")
    return copy, None


def _below(never: Path, directory: Path) -> tuple[str, ...]:
    """The pattern that shuts magnet's own directory out of a context that holds it."""
    return (f"/{never.relative_to(directory).as_posix()}",) if never.is_relative_to(directory) else ()
