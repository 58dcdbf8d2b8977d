"""What a build's Dockerfile uses, compared with what its engine can, before anything starts."""

import os

from magnet import dockerfile
from magnet.backends.base import Backend
from magnet.errors import EngineError
from magnet.preparation import Prepared
from magnet.uses import Use


def check(prepared: Prepared, backend: Backend) -> None:
    """Raise EngineError for the first use of what the engine cannot do, MagnetfileError for the first mistake."""
    recipe = prepared.recipe
    parsed = dockerfile.parse(prepared.dockerfile)
    used = parsed.uses(recipe.stage, recipe.build_args, recipe.platform)
    _check_features(used, prepared, backend)


def _check_features(used: tuple[Use, ...], prepared: Prepared, backend: Backend) -> None:
    for use in used:
        if use.feature not in backend.engine.features:
            raise EngineError(
                f"{backend.engine} cannot do `{use.words}`",
                detail=[f"{os.path.relpath(prepared.dockerfile)}:{use.line}: {use.instruction}"],
                hint=backend.elsewhere(use.feature),
            )
