"""The table of backends, and the choice of one."""

from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from magnet.errors import EngineError, MagnetError, UsageError, did_you_mean

if TYPE_CHECKING:
    from magnet.backends.base import Backend
    from magnet.backends.engine import Engine

BACKENDS = {
    "docker": "magnet.backends.docker:Docker",
    "podman": "magnet.backends.podman:Podman",
    "buildah": "magnet.backends.buildah:Buildah",
}
"""Where magnet's own backends are, by name, in the order in which they are tried. One is imported when it is tried."""


def choose(name: str | None) -> "Backend":
    """The backend of that name, or the first whose engine answers; EngineError with all reasons if none does.

    One that is named is probed when it is first asked for more than an image. Those of other packages are tried last.
    """
    if name is not None:
        return backend(name)()
    reasons = []
    for known in every_name():
        try:
            return backend(known).find()
        except EngineError as error:
            reasons.append("; ".join((error.message, *error.detail)))
    raise EngineError(
        "no container engine is usable here",
        detail=reasons,
        hint="install one: `apt-get install podman`, `dnf install podman`, or https://docs.docker.com/engine/install; "
        "`magnet doctor` tells what keeps one that is installed from working",
    )


def usable(*, besides: str = "") -> "dict[str, Engine]":
    """What a probe finds of every backend whose engine answers here, in their order; all but one, where asked so."""
    found = {}
    for name in every_name():
        if name != besides:
            with suppress(EngineError):
                found[name] = backend(name)().engine
    return found


def remove_containers(name: str, run_id: str) -> None:
    """Remove the containers of a run that was killed, where the backend is still there, and its engine answers."""
    with suppress(MagnetError):
        choose(name).remove_containers(run_id)


def check_name(name: str) -> None:
    """Raise UsageError where no backend is called `name`."""
    if name not in BACKENDS and name not in (known := list(every_name())):
        hint = did_you_mean(name, known) or f"known are: {', '.join(known)}"
        raise UsageError(f"there is no backend `{name}`", hint=hint)


def backend(name: str) -> "type[Backend]":
    """The class of the backend of that name; UsageError where there is none, EngineError where it is broken."""
    check_name(name)
    if name not in BACKENDS:
        from magnet.backends import plugins
        from magnet.backends.base import Backend

        return plugins.load(name, Backend)  # type: ignore[type-abstract]
    module, _, attribute = BACKENDS[name].partition(":")
    found: type[Backend] = getattr(import_module(module), attribute)
    return found


def every_name() -> Iterator[str]:
    """The names of all backends: magnet's own, and then those of other packages, which are looked for only then."""
    yield from BACKENDS
    from magnet.backends import plugins

    yield from (name for name in plugins.names() if name not in BACKENDS)
