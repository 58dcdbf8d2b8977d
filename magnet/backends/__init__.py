"""The table of backends, and the choice of one."""

from magnet.backends.base import Backend
from magnet.backends.buildah import Buildah
from magnet.backends.docker import Docker
from magnet.backends.podman import Podman
from magnet.errors import EngineError, UsageError, did_you_mean

BACKENDS: dict[str, type[Backend]] = {backend.name: backend for backend in (Docker, Podman, Buildah)}
"""Every backend, in the order in which they are tried."""


def choose(name: str | None) -> Backend:
    """The backend of that name, or the first whose probe finds an engine; EngineError with all reasons if none does."""
    if name is not None:
        if name not in BACKENDS:
            hint = did_you_mean(name, BACKENDS) or f"known are: {', '.join(BACKENDS)}"
            raise UsageError(f"there is no backend `{name}`", hint=hint)
        return BACKENDS[name](BACKENDS[name].probe())
    reasons = []
    for backend in BACKENDS.values():
        try:
            return backend(backend.probe())
        except EngineError as error:
            reasons.append("; ".join((error.message, *error.detail)))
    raise EngineError(
        "no container engine is usable here",
        detail=reasons,
        hint="install one: `apt-get install podman`, `dnf install podman`, or https://docs.docker.com/engine/install",
    )
