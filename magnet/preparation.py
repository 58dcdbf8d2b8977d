"""From what a target asks for to what an engine is given: the Dockerfile, the ignore file, the context on disk."""

import os
from collections.abc import Callable, Mapping, Sequence, Set
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from magnet import context as contexts
from magnet import reading
from magnet.backends.base import Backend, same_platform
from magnet.context import Entry, Walked
from magnet.errors import EngineError, MagnetfileError
from magnet.index import FileIndex, Tree
from magnet.memory import Memory
from magnet.meter import Measure, unmeasured
from magnet.model import (
    EMPTY,
    SCRATCH,
    BuildRequest,
    Copy,
    Image,
    Modes,
    Network,
    Option,
    Platform,
    Pull,
    Secret,
    Ulimit,
    Whole,
    this_machine,
)
from magnet.process import Shell
from magnet.reading import Reading
from magnet.sources import EVERYTHING, as_line, has_wildcard, literal_pattern
from magnet.values import frozen, replace
from magnet.workspace import BUILD_DIRECTORY

if TYPE_CHECKING:
    from magnet.namedcontexts import Directory, Given


EPOCH_ARG = "SOURCE_DATE_EPOCH"
"""The build arg with the time of a build that has one: https://reproducible-builds.org/specs/source-date-epoch/."""


@frozen
class Recipe:
    """A build as a target asks for it. Paths are relative to the project, or absolute."""

    directory: str | Path = "."
    file: str | Path | None = None
    context: Sequence[Copy] | Whole | None = None
    tags: tuple[str, ...] = ()
    build_args: Mapping[str, str] = EMPTY
    stage: str | None = None
    pull: Pull = "missing"
    no_cache: bool = False
    labels: Mapping[str, str] = EMPTY
    platform: Platform | None = None
    options: tuple[Option, ...] = ()
    modes: Modes = "keep"
    source_date_epoch: int | None = None
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    network: Network = "default"
    hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    secrets: tuple[Secret, ...] = ()
    ssh: Mapping[str, str] = EMPTY
    contexts: "Mapping[str, Given]" = MappingProxyType({})


@frozen
class Context:
    """Which files a build can see, and how the engine gets them.

    `directory` is where they are, or None where they are declared. In place, the engine is given it, and ignores what
    `ignores` says; else the files are staged. `name` is all that decides what `walk` finds, besides the files
    themselves. `widened` says why all that is not ignored is in it, where that is not what was asked for.
    """

    name: str
    walk: Callable[[], Walked]
    directory: Path | None = None
    in_place: bool = False
    ignores: Callable[[], tuple[str, ...]] = tuple
    widened: str | None = None
    sources: tuple[str, ...] | None = None

    def why(self, entry: Entry) -> str:
        """What put an entry into the context, in a few words."""
        if self.sources is None:
            return "not ignored" if self.directory else "declared"
        from e2b_dockerfile_utils import PatternMatcher

        path = os.fsdecode(entry.path)
        source = next((source for source in self.sources if PatternMatcher([as_line(source)]).matches(path)), None)
        return f"copied as `{source}`" if source else "a link leads there"


@frozen
class Prepared:
    """A build whose inputs are known. `bases` are its base images, by the names that the Dockerfile gives them.

    `seen` is what the engine has said of other names that it was asked for in the same breath. `contexts` are the named
    ones that are used, and `directories` those of them that are directories.
    """

    recipe: Recipe
    dockerfile: Path
    reading: Reading
    bases: Mapping[str, Image]
    context: Context
    tree: Tree
    seen: Mapping[str, Image | None] = MappingProxyType({})
    contexts: "Mapping[str, Given]" = MappingProxyType({})
    directories: "Mapping[str, Directory]" = MappingProxyType({})


def prepare(
    recipe: Recipe,
    root: Path,
    backend: Backend,
    shell: Shell,
    index: FileIndex,
    memory: Memory,
    also: Sequence[str] = (),
) -> Prepared:
    """Find out what goes into a build, without building anything.

    Base images are fetched here as the recipe's pull policy says: engines differ in what their own means. The engine is
    asked once, for them, for the recipe's tags and for `also`, and answers while the files are looked at.
    """
    directory = _directory(root, recipe.directory)
    file = dockerfile_of(recipe, root)
    if isinstance(recipe.context, Whole) and recipe.context.directory is not None:
        directory = _directory(root, recipe.context.directory)
    read = reading.read(file, recipe.stage, recipe.build_args, recipe.platform, memory)
    _check_mounts(read, recipe)
    named = _named(read, recipe)
    names = {name: _reference(name, named) for name in read.bases if not isinstance(named.get(name), Path)}
    ignore = contexts.find_ignore_file(directory, file)
    ignored = reading.read_ignore_file(ignore, memory) if ignore else ()
    with backend.asking([*names.values(), *recipe.tags, *also], shell) as answers:
        context = _context(recipe, root, directory, read, ignored, {})
        tree = index.tree(context.name, context.walk, shell.measure)
        directories = _directories(named, root, index, memory, shell.measure)
        seen = answers()
    bases = _bases(names, recipe, backend, shell, seen)
    if any(image.has_triggers for image in bases.values()):
        context = _context(recipe, root, directory, read, ignored, bases)
        tree = index.tree(context.name, context.walk, shell.measure)
    # A name that was pulled since may mean another image now.
    seen = {name: seen[name] for name in seen if name not in names.values()}
    return Prepared(recipe, file, read, bases, context, tree, seen, named, directories)


def _check_mounts(read: Reading, recipe: Recipe) -> None:
    """Refuse a build without what a step requires; most Dockerfiles require nothing."""
    if any("required" in str(word) for name, *words in read.instructions if name == "RUN" for word in words):
        from magnet.secretfiles import check_mounts

        check_mounts(read.instructions, [secret.id for secret in recipe.secrets], recipe.ssh)


def _named(read: Reading, recipe: Recipe) -> "dict[str, Given]":
    """The named contexts that are used."""
    if not recipe.contexts:
        return {}
    from magnet.namedcontexts import used  # most builds have none

    return used(recipe.contexts, read.bases, read.instructions)


def _directories(
    named: "Mapping[str, Given]", root: Path, index: FileIndex, memory: Memory, measure: Measure
) -> "dict[str, Directory]":
    """The named contexts that are directories, as they are now."""
    if not named:
        return {}
    from magnet.namedcontexts import look

    return look(named, root, index, memory, measure)


def dockerfile_of(recipe: Recipe, root: Path) -> Path:
    """The absolute path of the Dockerfile that a recipe means."""
    if recipe.file is None:
        return reading.find(_directory(root, recipe.directory))
    file = Path(os.path.abspath(root / recipe.file))
    if not file.is_file():
        raise MagnetfileError(f"there is no Dockerfile `{recipe.file}`", hint=f"looked for it in {root}")
    return file


def is_still_so(prepared: Prepared, index: FileIndex, backend: Backend, shell: Shell, memory: Memory) -> bool:
    """Whether the Dockerfile, the files of the context and the base images are what they were before the build."""
    recipe = prepared.recipe
    tree = index.tree(prepared.context.name, prepared.context.walk, shell.measure)
    read = reading.read(prepared.dockerfile, recipe.stage, recipe.build_args, recipe.platform, memory)
    if tree.digest != prepared.tree.digest or read != prepared.reading:
        return False
    directories = _directories(prepared.contexts, shell.cwd, index, memory, shell.measure)
    if any(directories[name].tree.digest != was.tree.digest for name, was in prepared.directories.items()):
        return False
    references = {name: _reference(name, prepared.contexts) for name in prepared.bases}
    with backend.asking(references.values(), shell) as answers:
        now = {name: answers()[reference] for name, reference in references.items()}
    return all((found := now[name]) is not None and found.id == image.id for name, image in prepared.bases.items())


def defeats_layer_cache(prepared: Prepared, backend: Backend) -> bool:
    """Whether the engine's layer cache may take a step of the build for done though what goes into it has changed.

    Podman and buildah do so with what is mounted, be it of the context, a stage or an image, with the values of
    arguments everywhere but in RUN, and with the platform of a stage that begins from nothing. None of the engines sees
    all of its options. BuildKit 20.10 takes all wildcards for the same that match
    nothing, and thinks that those below a link to a directory match nothing, though it does copy what they match:
    https://github.com/moby/buildkit/issues/2300
    """
    read, unseen, recipe = prepared.reading, backend.builder.unseen, prepared.recipe
    # One network is as good as another, but none is not.
    if recipe.network == "none" and "no network" in unseen:
        return True
    if recipe.options or recipe.hosts or recipe.shm_size is not None or recipe.ulimits:
        return True
    if "platform" in unseen and prepared.recipe.platform is not None and _begins_from_nothing(read):
        return True
    if ("mounts" in unseen and _mounts_something(read)) or ("arguments" in unseen and _expands_arguments(read)):
        return True
    return "wildcards" in unseen and _has_wildcards_that_seem_empty(prepared)


def _has_wildcards_that_seem_empty(prepared: Prepared) -> bool:
    sources = prepared.reading.sources
    links = {os.fsdecode(entry.path) for entry in prepared.tree.entries if entry.kind == "link"}
    if sources is None:
        return bool(links)
    paths = [os.fsdecode(entry.path) for entry in prepared.tree.entries]
    return any(_seems_empty(source, links, paths) for source in sources if has_wildcard(source))


def is_another_ones(image: Image, prepared: Prepared, backend: Backend) -> bool:
    """Whether podman or buildah took an image from their layer cache that was made for another platform.

    That is noticed where none was asked for, and so it must be this machine's: where a stage begins from nothing.
    """
    is_seen = "platform" not in backend.builder.unseen
    if is_seen or prepared.recipe.platform or not _begins_from_nothing(prepared.reading):
        return False
    return not same_platform(image.platform, this_machine())


def _mounts_something(read: Reading) -> bool:
    others = ("type=cache", "type=tmpfs", "type=secret", "type=ssh")
    return any(not any(other in mount for other in others) for mount in _mounts(read))


def _mounts_caches(read: Reading) -> bool:
    return any("type=cache" in mount for mount in _mounts(read))


def _mounts(read: Reading) -> list[str]:
    words = [word for name, *words in read.instructions if name == "RUN" for word in map(str, words)]
    return [word for word in words if word.startswith("--mount=")]


def _expands_arguments(read: Reading) -> bool:
    """Whether an instruction other than RUN may have the value of an ARG in it."""
    has_argument = False
    for name, *words in read.instructions:
        if name == "ARG":
            has_argument = True
        elif has_argument and name not in ("FROM", "RUN") and any("$" in str(word) for word in words):
            return True
    return False


def _begins_from_nothing(read: Reading) -> bool:
    return any(name == "FROM" and words[0] == SCRATCH for name, *words in read.instructions)


def _seems_empty(source: str, links: Set[str], paths: Sequence[str]) -> bool:
    from e2b_dockerfile_utils import PatternMatcher

    directories = list(accumulate(source.split("/")[:-1], "{}/{}".format))
    return not links.isdisjoint(directories) or not any(map(PatternMatcher([as_line(source)]).matches, paths))


def request(
    prepared: Prepared, backend: Backend, scratch: Path, *, dry_run: bool, measure: Measure = unmeasured
) -> BuildRequest:
    """The request that builds it, with its context and ignore file in `scratch`."""
    recipe = prepared.recipe
    from magnet.limits import with_addresses  # a build that is found done does without
    from magnet.secretfiles import paths

    hosts = with_addresses(recipe.hosts, lambda: backend.host_address(recipe.network))
    context, given, ignorefile = _on_disk(prepared, backend, scratch, measure, dry_run=dry_run)
    return BuildRequest(
        context=context,
        dockerfile=given,
        ignorefile=ignorefile,
        iidfile=scratch / "iid",
        tags=recipe.tags,
        build_args=_build_args(prepared),
        stage=prepared.reading.stage,
        mounts_caches=_mounts_caches(prepared.reading),
        no_cache=recipe.no_cache,
        labels=recipe.labels,
        platform=recipe.platform,
        options=recipe.options,
        cache_from=recipe.cache_from,
        cache_to=recipe.cache_to,
        network=recipe.network,
        hosts=hosts,
        hosts_file=_hosts_file(recipe, hosts, backend, scratch),
        shm_size=recipe.shm_size,
        ulimits=recipe.ulimits,
        secrets=paths(recipe.secrets, scratch / SECRETS),
        ssh=recipe.ssh,
        contexts=_named_contexts(prepared, backend, scratch, measure, dry_run=dry_run),
    )


SECRETS = "secrets"
"""Where the files of a build's secrets are, in its scratch directory."""


def _hosts_file(recipe: Recipe, hosts: tuple[tuple[str, str], ...], backend: Backend, scratch: Path) -> Path | None:
    """An /etc/hosts for steps without a network, where the engine makes none for them."""
    if recipe.network != "none" or "hosts" not in backend.builder.leaves_out:
        return None
    from magnet.limits import write_hosts

    path = scratch / "hosts"
    write_hosts(hosts, path)
    return path


def _named_contexts(
    prepared: Prepared, backend: Backend, scratch: Path, measure: Measure, *, dry_run: bool
) -> dict[str, Path | str]:
    """The named contexts as the engine is given them: directories, staged, and names or ids of images."""
    made: dict[str, Path | str] = {}
    for number, (name, given) in enumerate(prepared.contexts.items()):
        found = prepared.directories.get(name)
        if found is None:
            made[name] = _image_name(name, given, backend) if isinstance(given, Image) else str(given)
            continue
        above = scratch / f"context-{number}"
        made[name] = above / found.tree.digest
        if not dry_run:
            from magnet.staging import stage

            above.mkdir()
            with measure(f"staging the context {name}", found.tree.size) as advance:
                stage(found.tree.entries, above / found.tree.digest, advance)
    return made


def _image_name(name: str, image: Image, backend: Backend) -> str:
    """What the engine finds an image by; BuildKit looks for what has no name in a registry."""
    if backend.builder.context == "read" or not image.id:
        return _reference(name, {name: image})
    tag = next(iter(image.tags), None)
    found = backend.inspect(tag) if tag else None
    if tag is None or found is None or found.id != image.id:
        raise EngineError(
            f"{backend.engine} takes an image for a build context by a name only, and that of `{name}` has none",
            hint="give the image a tag of its own: t.build(..., tags=...)",
        )
    return tag


def _reference(name: str, named: "Mapping[str, Given]") -> str:
    """What an image that a Dockerfile names is called, or its id, where a context of that name says."""
    given = named.get(name, name)
    # An image that would have been built in a dry run is not here, by whatever name.
    return given.id or next(iter(given.tags), name) if isinstance(given, Image) else str(given)


def _build_args(prepared: Prepared) -> Mapping[str, str]:
    """The build args; engines would warn of a time that magnet has added and no ARG asks for."""
    given = prepared.recipe.build_args
    if prepared.recipe.source_date_epoch is None or EPOCH_ARG in prepared.reading.arguments:
        return given
    return {name: value for name, value in given.items() if name != EPOCH_ARG}


def _directory(root: Path, name: str | Path) -> Path:
    directory = Path(os.path.abspath(root / name))
    if not directory.is_dir():
        raise MagnetfileError(f"the build context `{name}` is not a directory", hint=f"looked for it in {root}")
    return directory


def _bases(
    names: Mapping[str, str], recipe: Recipe, backend: Backend, shell: Shell, seen: Mapping[str, Image | None]
) -> dict[str, Image]:
    """The base images by the names of the Dockerfile, from those that they really have; in a dry run those here."""
    if shell.dry_run:
        return {name: image for name, reference in names.items() if (image := seen[reference])}

    def resolve(name: str, reference: str) -> Image:
        # An image that was built for this is in no registry.
        pull = "never" if isinstance(recipe.contexts.get(name), Image) else recipe.pull
        return backend.resolve(reference, shell, pull=pull, platform=recipe.platform, seen=seen)

    return {name: resolve(name, reference) for name, reference in names.items()}


def _context(
    recipe: Recipe, root: Path, directory: Path, read: Reading, ignored: tuple[str, ...], bases: Mapping[str, Image]
) -> Context:
    context = _context_as_it_is(recipe, root, directory, read, ignored, bases)
    if recipe.modes == "keep":
        return context
    name = repr((recipe.modes, context.name))
    return replace(context, name=name, walk=lambda: contexts.with_git_modes(context.walk()), in_place=False)


def _context_as_it_is(
    recipe: Recipe, root: Path, directory: Path, read: Reading, ignored: tuple[str, ...], bases: Mapping[str, Image]
) -> Context:
    never = root / BUILD_DIRECTORY
    if recipe.context is not None and not isinstance(recipe.context, Whole):
        copies = recipe.context
        sources = [os.path.realpath(root / copy.source) for copy in copies]
        return Context(repr((copies, sources, str(never))), lambda: contexts.declared(copies, root, never))
    selected, widened = _sources(recipe, read, bases)
    shut = _below(never, directory)
    what = (selected, dict(read.excludes), read.keeps_parents) if selected is not None else None
    name = repr((os.path.realpath(directory), what, ignored, str(never)))

    def narrowed() -> tuple[tuple[str, ...], Walked]:
        from magnet.narrow import narrow

        return narrow(directory, selected or (), ignored, never, read.excludes, keeps_parents=read.keeps_parents)

    if selected is None or EVERYTHING in selected:
        is_less = selected is not None and read.excludes
        return Context(
            name,
            (lambda: narrowed()[1]) if is_less else (lambda: contexts.selected(directory, (), ignored, never)),
            directory,
            _means_one_thing(ignored),
            lambda: (*ignored, *shut),
            widened,
        )
    is_written = all(map(_can_be_written, selected)) and not any(pattern.startswith("!") for pattern in ignored)

    def ignores() -> tuple[str, ...]:
        patterns, _ = narrowed()
        if EVERYTHING in patterns:
            return (*ignored, *shut)
        return ("*", *(f"!{pattern}" for pattern in patterns), *ignored, *shut)

    return Context(name, lambda: narrowed()[1], directory, is_written, ignores, sources=selected)


def _sources(recipe: Recipe, read: Reading, bases: Mapping[str, Image]) -> tuple[tuple[str, ...] | None, str | None]:
    """The sources of an automatic context, or None and why there are none."""
    if recipe.context is not None:
        return None, None
    if read.sources is None:
        return None, "the Dockerfile copies what cannot be known before it is built"
    for name, image in bases.items():
        if image.has_triggers:
            return None, f"the base image `{name}` has ONBUILD instructions, which may copy more"
    return tuple(read.sources), None


def _means_one_thing(ignored: Sequence[str]) -> bool:
    """Whether all versions of all engines ignore the same.

    Before 2022, and still in podman and buildah, a `!` also brought back what is below the directories that it matches
    where nothing had ignored these, and `**` did not see all directories: https://github.com/moby/moby/pull/43037 and
    https://github.com/moby/moby/pull/42676
    """
    if not any(pattern.startswith("!") for pattern in ignored):
        return True
    return ignored[0] in ("*", "**") and all(one.startswith("!") and "**" not in one for one in ignored[1:])


def _can_be_written(pattern: str) -> bool:
    """Whether a line of an ignore file can take the pattern back in, on every engine.

    BuildKit 20.10 looks into an ignored directory only where its name stands in a `!` pattern, letter by letter.
    """
    directory = pattern.rpartition("/")[0]
    is_plain = not set(directory) & set("*?[\\")
    return is_plain and pattern == pattern.strip() and "\n" not in pattern and "\r" not in pattern


def _check_for_legacy_builder(context: Context, tree: Tree, file: Path, backend: Backend) -> None:
    """Refuse a context that the legacy builder would narrow: it reads the `.dockerignore` at its root, and no other."""
    ignore = contexts.find_ignore_file(context.directory, file) if context.directory else None
    is_meant = ignore is not None and ignore.name == ".dockerignore"
    if not is_meant and any(entry.path == b".dockerignore" for entry in tree.entries):
        raise EngineError(
            f"{backend.engine} would apply the `.dockerignore` at the root of this context, which is not meant for it",
            hint='leave it out, as with Copy(..., exclude=".dockerignore"), or install docker\'s buildx plugin',
        )


def _on_disk(
    prepared: Prepared, backend: Backend, scratch: Path, measure: Measure, *, dry_run: bool
) -> tuple[Path, Path, Path | None]:
    """The context, the Dockerfile and the ignore file that the engine is given.

    BuildKit keeps what it has of a context under the name of its directory, and then trusts sizes and times: so the
    context's name is always its digest, as that of a staged directory of hard links, or of a link to the directory.
    """
    context, file = prepared.context, prepared.dockerfile
    named = scratch / _name_of_context(prepared)
    is_sent = backend.builder.context == "sent"
    if is_sent:
        _check_for_legacy_builder(context, prepared.tree, file, backend)
    if context.directory is None or not _is_in_place(prepared, backend) or is_sent:
        if not dry_run:
            from magnet.staging import stage

            with measure("staging the context", prepared.tree.size) as advance:
                stage(prepared.tree.entries, named, advance)
        if is_sent:
            return named, _staged(file, prepared.tree, named), None
        return named, *_ignoring((), file, backend, scratch)
    if backend.builder.context == "read":
        return context.directory, *_ignoring(context.ignores(), file, backend, scratch)
    named.symlink_to(context.directory)
    return named, *_ignoring(context.ignores(), file, backend, scratch)


def _name_of_context(prepared: Prepared) -> str:
    """The digest of the context or, where there are named ones, of all: BuildKit keeps those under this name, too."""
    if not prepared.directories:
        return prepared.tree.digest
    from blake3 import blake3

    digests = [prepared.tree.digest, *(found.tree.digest for found in prepared.directories.values())]
    return blake3("".join(digests).encode()).hexdigest()


def _is_in_place(prepared: Prepared, backend: Backend) -> bool:
    # Podman and buildah mount all of a directory into a step, whatever is ignored.
    mounts_all = backend.builder.context == "read" and prepared.reading.mounts_context
    if not prepared.context.in_place or mounts_all:
        return False
    from magnet.staging import is_plain

    return is_plain(prepared.tree.entries)


def _staged(file: Path, tree: Tree, directory: Path) -> Path:
    """The Dockerfile, as it is in the staged context where it is part of it.

    The legacy client adds one from outside to the context, and its name to the `.dockerignore` there.
    """
    source = os.fsencode(os.path.realpath(file))
    inside = next((entry.path for entry in tree.entries if entry.source == source), None)
    return file if inside is None else directory / os.fsdecode(inside)


_IGNORES_NOTHING = "!*"


def _ignoring(patterns: Sequence[str], file: Path, backend: Backend, scratch: Path) -> tuple[Path, Path | None]:
    """The Dockerfile and the ignore file with which an engine ignores just these patterns.

    Podman and buildah are told the ignore file. BuildKit reads `<Dockerfile>.dockerignore`, so that it gets a copy
    of the Dockerfile with one beside it. Both then read no other.
    """
    # Without any pattern, podman would read an ignore file of the context in spite of all.
    text = "".join(f"{pattern}\n" for pattern in patterns or [_IGNORES_NOTHING])
    if backend.builder.context == "read":
        ignorefile = scratch / "ignore"
        ignorefile.write_text(text, "utf-8", "surrogateescape")
        return file, ignorefile
    copy = scratch / file.name
    copy.write_bytes(file.read_bytes())
    copy.with_name(f"{copy.name}.dockerignore").write_text(text, "utf-8", "surrogateescape")
    return copy, None


def _below(never: Path, directory: Path) -> tuple[str, ...]:
    """The pattern that shuts magnet's own directory out of a context that holds it."""
    if not never.is_relative_to(directory):
        return ()
    return (literal_pattern(never.relative_to(directory).as_posix()),)
