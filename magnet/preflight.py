"""What a build's Dockerfile uses, compared with what its engine can, before anything starts."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from magnet import context as contexts
from magnet import dockerfile, mistakes, owners, rewriting
from magnet.backends.base import Backend, same_platform
from magnet.dockerfile import Dockerfile, Layout, platform_args
from magnet.errors import BuildFailed, EngineError
from magnet.model import EMPTY, BuildRequest, Platform, this_machine
from magnet.owners import Look
from magnet.preparation import Prepared, Recipe
from magnet.process import Shell
from magnet.rewriting import Changes
from magnet.sources import Transfer, as_line, in_context, is_remote
from magnet.uses import Use
from magnet.values import frozen, replace

_BUILDKITS = re.compile(r"BUILDKIT_.*|SOURCE_DATE_EPOCH|ALL_PROXY|all_proxy")
"""The build args that BuildKit knows by itself."""


@frozen
class Plan:
    """How what the engine is given differs from what was asked for, so that it does with it what others do.

    `changes` are those of the Dockerfile; `unused` are the build args that nothing uses, which it is not given;
    `more_args` are those that others define by themselves; `looks` are for the owners that it would take for root.
    """

    changes: Changes
    unused: tuple[str, ...] = ()
    more_args: Mapping[str, str] = EMPTY
    looks: tuple[Look, ...] = ()


def check(prepared: Prepared, backend: Backend) -> Plan:
    """Raise MagnetfileError for the first mistake, EngineError for the first use of what the engine cannot do."""
    recipe = prepared.recipe
    parsed = dockerfile.parse(prepared.dockerfile)
    given = recipe.stage, recipe.build_args, recipe.platform
    transfers = parsed.transfers(*given)
    names = mistakes.Names(prepared.tree.entries)
    mistakes.check(transfers, names, prepared.dockerfile, lambda source: _where(source, prepared))
    users = {name: image.user for name, image in prepared.bases.items()}
    lacking = [use for use in parsed.uses(*given, users) if use.feature not in backend.engine.features]
    layout = parsed.layout(*given)
    changes = _changes(parsed, lacking, layout, recipe, backend)
    if not backend.builder.makes_workdirs:
        changes = replace(changes, then_nothing=parsed.unmade_workdirs(*given, users))
    _refuse(lacking, changes, prepared, backend)
    if "volume-writes" not in backend.engine.features:
        _refuse(_writes_into_volumes(parsed.runs(*given), prepared), Changes(), prepared, backend)
    _check_owners(transfers, prepared, backend)
    unused = sorted(recipe.build_args.keys() - _used_args(parsed, prepared, backend))
    return Plan(
        changes,
        tuple(unused),
        {} if backend.builder.fetches_syntax else _platform_args(prepared),
        () if backend.builder.knows_owners else owners.looks(parsed, transfers),
    )


def check_owners(asked: BuildRequest, plan: Plan, prepared: Prepared, backend: Backend, shell: Shell) -> None:
    """Raise MagnetfileError for an owner that is not in the image, where the engine would take it for root."""
    if not plan.looks or shell.dry_run:
        return
    stages = len(dockerfile.parse(asked.dockerfile).stages)
    text = asked.dockerfile.read_bytes().decode(errors="surrogateescape")
    directory = asked.iidfile.with_name("owners")
    directory.mkdir()
    file = directory / asked.dockerfile.name
    file.write_bytes(owners.lookup(text, plan.looks, stages).encode(errors="surrogateescape"))
    ignore = asked.dockerfile.with_name(f"{file.name}.dockerignore")
    if ignore.exists():
        file.with_name(ignore.name).write_bytes(ignore.read_bytes())
    # What it builds is there for the build itself, which builds it anew where that is wanted.
    lookup = replace(asked, dockerfile=file, tags=(), stage=None, no_cache=False, tar=directory / "tar")
    try:
        backend.build_files(lookup, shell)
    except BuildFailed as error:
        error.step = owners.named(error.step, plan.looks, stages)
        raise
    owners.check(plan.looks, directory / "tar", prepared.dockerfile)


def adapted(asked: BuildRequest, plan: Plan, prepared: Prepared, backend: Backend, scratch: Path) -> BuildRequest:
    """The request as the plan has it, with the Dockerfile in `scratch` where it is not the user's own."""
    build_args = {name: value for name, value in asked.build_args.items() if name not in plan.unused}
    asked = _with_dockerfile(replace(asked, build_args={**plan.more_args, **build_args}), plan, prepared, scratch)
    is_added = backend.builder.context == "sent" and not asked.dockerfile.is_relative_to(asked.context)
    if is_added and any(entry.path == b".dockerignore" for entry in prepared.tree.entries):
        raise EngineError(
            f"{backend.engine} would add a line to the `.dockerignore` that is copied: it is given another Dockerfile",
            hint="let `.dockerignore` ignore itself, or install docker's buildx plugin",
        )
    return asked


def _with_dockerfile(asked: BuildRequest, plan: Plan, prepared: Prepared, scratch: Path) -> BuildRequest:
    recipe = prepared.recipe
    # One that would be staged is not there where nothing is run.
    given = asked.dockerfile if asked.dockerfile.exists() else prepared.dockerfile
    parsed = dockerfile.parse(given)
    text = given.read_bytes().decode(errors="surrogateescape")
    layout = parsed.layout(recipe.stage, recipe.build_args, recipe.platform)
    changed = rewriting.rewritten(text, parsed, layout, plan.changes)
    if changed == text:
        return asked
    if plan.changes.then_nothing:
        nothing = scratch / "nothing"
        nothing.mkdir()
        asked = replace(asked, contexts={**asked.contexts, rewriting.EMPTY_CONTEXT: nothing})
    copy = scratch / asked.dockerfile.name
    copy.write_bytes(changed.encode(errors="surrogateescape"))
    # A stage without a name is the last now.
    return replace(asked, dockerfile=copy, stage=parsed.stage(recipe.stage).name if recipe.stage else None)


def _changes(parsed: Dockerfile, lacking: Sequence[Use], layout: Layout, recipe: Recipe, backend: Backend) -> Changes:
    fetches = backend.builder.fetches_syntax
    has_no_name = recipe.stage is not None and parsed.stage(recipe.stage).name is None
    return Changes(
        # What the builder lacks by itself, the image that the line names may have.
        no_syntax=not fetches or not (lacking or parsed.is_foreign),
        volumes_last=any(use.feature == "volume-writes" for use in lacking) and None not in layout.volumes,
        only_needed=backend.builder.runs_all,
        nothing_after=has_no_name and not layout.is_last,
    )


def _refuse(lacking: Iterable[Use], changes: Changes, prepared: Prepared, backend: Backend) -> None:
    """Refuse what the engine lacks, but for what a changed Dockerfile does without, or a fetched syntax may have."""
    bridged = {"volume-writes"} if changes.volumes_last else set()
    platforms = map(Platform.parse, prepared.reading.platforms.values())
    if changes.only_needed and all(same_platform(platform, this_machine()) for platform in platforms):
        bridged.add("from-platform")
    syntax = prepared.reading.syntax if backend.builder.fetches_syntax and not prepared.reading.is_foreign else ""
    for use in lacking:
        if use.feature not in bridged and not syntax:
            raise EngineError(
                f"{backend.engine} cannot do `{use.words}`",
                detail=[_at(prepared, use.line, use.instruction)],
                hint=backend.elsewhere(use.feature),
            )


def _writes_into_volumes(runs: Iterable[tuple[str, Use]], prepared: Prepared) -> Iterator[Use]:
    """The RUNs that name a VOLUME of the image that their stage is based on, and so may write there."""
    for base, run in runs:
        volumes = prepared.bases[base].volumes if base in prepared.bases else ()
        if any(re.search(rf"{re.escape(volume.rstrip('/'))}(?![\w.-])", run.instruction) for volume in volumes):
            yield run


def _used_args(parsed: Dockerfile, prepared: Prepared, backend: Backend) -> frozenset[str]:
    """The names of the build args that something uses; all where a base image may use them in its ONBUILDs."""
    recipe = prepared.recipe
    if any(image.has_triggers for image in prepared.bases.values()):
        return frozenset(recipe.build_args)
    used = parsed.consumed(recipe.stage, recipe.build_args, recipe.platform)
    builders_own = {name for name in recipe.build_args if backend.builder.fetches_syntax and _BUILDKITS.fullmatch(name)}
    return used | builders_own


def _platform_args(prepared: Prepared) -> dict[str, str]:
    """The values of TARGETARCH and its like that the needed stages declare without one."""
    declared = {word for name, *words in prepared.reading.instructions if name == "ARG" for word in words}
    known = platform_args(prepared.recipe.platform or this_machine())
    return {name: value for name, value in known.items() if name in declared}


def _check_owners(transfers: Iterable[Transfer], prepared: Prepared, backend: Backend) -> None:
    """Refuse owners that a container of a rootless engine cannot have."""
    ids = backend.engine.ids
    if ids is None:
        return
    for transfer in transfers:
        owners = [int(owner) for owner in (transfer.owner or "").split(":") if owner.isdecimal()]
        if any(owner >= ids for owner in owners):
            raise EngineError(
                f"{backend.engine} cannot do `--chown={transfer.owner}`: its containers have the ids below {ids} only",
                detail=[_at(prepared, transfer.line, transfer.instruction)],
                hint="choose a smaller id, give the user more of them in /etc/subuid and /etc/subgid, or build as root",
            )


def _at(prepared: Prepared, line: int, instruction: str) -> str:
    return f"{os.path.relpath(prepared.dockerfile)}:{line}: {instruction}"


def _where(source: str, prepared: Prepared) -> str:
    """What may help to find a source that is not in the context."""
    directory = prepared.context.directory
    if directory is not None and not is_remote(source):
        found = contexts.selected(directory, [as_line(in_context(source))], (), directory)
        ignore = contexts.find_ignore_file(directory, prepared.dockerfile)
        if found.entries and ignore:
            return f"`{os.path.relpath(ignore)}` ignores it"
    return "`magnet --files TARGET` lists what is in the context"
