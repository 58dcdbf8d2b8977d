"""The table of backends, and the choice of one."""

from importlib import import_module
from typing import TYPE_CHECKING

from magnet.errors import EngineError, UsageError, did_you_mean

if TYPE_CHECKING:
    from magnet.backends.base import Backend

BACKENDS = {
    "docker": "magnet.backends.docker:Docker",
    "podman": "magnet.backends.podman:Podman",
    "buildah": "magnet.backends.buildah:Buildah",
}
"""Where every backend is, by name, in the order in which they are tried. One is imported when it is tried."""


def choose(name: str | None) -> "Backend":
    """The backend of that name, or the first whose probe finds an engine; EngineError with all reasons if none does."""
    if name is not None:
        return _probed(name)
    reasons = []
    for known in BACKENDS:
        try:
            return _probed(known)
        except EngineError as error:
            reasons.append("; ".join((error.message, *error.detail)))
    raise EngineError(
        "no container engine is usable here",
        detail=reasons,
        hint="install one: `apt-get install podman`, `dnf install podman`, or https://docs.docker.com/engine/install",
    )


def check_name(name: str) -> None:
    """Raise UsageError where no backend is called `name`."""
    if name not in BACKENDS:
        hint = did_you_mean(name, BACKENDS) or f"known are: {', '.join(BACKENDS)}"
        raise UsageError(f"there is no backend `{name}`", hint=hint)


def _probed(name: str) -> "Backend":
    check_name(name)
    module, _, attribute = BACKENDS[name].partition(":")
    backend: type[Backend] = getattr(import_module(module), attribute)
    try:
        return backend(backend.probe())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(
            f"{name} gave an answer that magnet does not understand",
            hint=f"see what `{name} info` and `{name} version` say; this version may be too new or too old",
        ) from error
