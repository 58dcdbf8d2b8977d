"""What a build's Dockerfile uses, compared with what its engine can, before anything starts."""

import os
from collections.abc import Iterable

from magnet import context as contexts
from magnet import dockerfile, mistakes
from magnet.backends.base import Backend
from magnet.errors import EngineError
from magnet.preparation import Prepared
from magnet.sources import Transfer, as_line, in_context, is_remote
from magnet.uses import Use


def check(prepared: Prepared, backend: Backend) -> None:
    """Raise MagnetfileError for the first mistake, EngineError for the first use of what the engine cannot do."""
    recipe = prepared.recipe
    parsed = dockerfile.parse(prepared.dockerfile)
    given = recipe.stage, recipe.build_args, recipe.platform
    used, transfers = parsed.uses(*given), parsed.transfers(*given)
    names = mistakes.Names(prepared.tree.entries)
    mistakes.check(transfers, names, prepared.dockerfile, lambda source: _where(source, prepared))
    _check_features(used, prepared, backend)
    _check_owners(transfers, prepared, backend)


def _check_features(used: Iterable[Use], prepared: Prepared, backend: Backend) -> None:
    for use in used:
        if use.feature not in backend.engine.features:
            raise EngineError(
                f"{backend.engine} cannot do `{use.words}`",
                detail=[_at(prepared, use.line, use.instruction)],
                hint=backend.elsewhere(use.feature),
            )


def _check_owners(transfers: Iterable[Transfer], prepared: Prepared, backend: Backend) -> None:
    """Refuse owners that a container of a rootless engine cannot have."""
    ids = backend.engine.ids
    for transfer in transfers if ids is not None else ():
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
