"""How podman and buildah are configured: which of their files count for a user, and what these say."""

import os
from collections.abc import Iterator, Mapping

from magnet.doctor.files import Files


class Configuration:
    """The configuration of podman and buildah for a user; `directory` is where the user's own is.

    The source of the order of files: https://man.archlinux.org/man/containers-config.5.en
    """

    def __init__(self, files: Files, environ: Mapping[str, str], uid: int) -> None:
        self._files = files
        self._environ = environ
        self._uid = uid
        self._home = environ.get("HOME") or "/"
        self._own = environ.get("XDG_CONFIG_HOME") or os.path.join(self._home, ".config")

    @property
    def directory(self) -> str:
        """The directory of the user's configuration, as one would type it."""
        home = f"{self._home.rstrip('/')}/"
        return f"~/{self._own.removeprefix(home)}" if self._own.startswith(home) else self._own

    def has_default_ulimits(self) -> bool:
        """Whether containers.conf sets the limits of containers."""
        return any("default_ulimits" in self._files.toml(path).get("containers", {}) for path in self._containers())

    def _containers(self) -> Iterator[str]:
        """The files that make containers.conf, the last first."""
        if override := self._environ.get("CONTAINERS_CONF_OVERRIDE"):
            yield override
        if only := self._environ.get("CONTAINERS_CONF"):
            yield only
            return
        if self._uid:
            yield from self._files.parts(f"{self._own}/containers/containers.conf.d")
            yield f"{self._own}/containers/containers.conf"
        yield from self._files.parts("/etc/containers/containers.conf.d")
        yield "/etc/containers/containers.conf"
        yield "/usr/share/containers/containers.conf"

    def storage_conf(self) -> str:
        """The file that says how the user's images are kept; "" where there is none yet."""
        if only := self._environ.get("CONTAINERS_STORAGE_CONF"):
            return only
        path = f"{f'{self._own}/containers' if self._uid else '/etc/containers'}/storage.conf"
        return path if self._files.at(path).exists() else ""

    def search_registries(self) -> tuple[str, ...]:
        """The registries in which a name without one is looked for."""
        for path in self._registries():
            found = self._files.toml(path)
            listed = found.get("unqualified-search-registries")
            old = found.get("registries")
            if listed is None and isinstance(old, dict):
                listed = old.get("search", {}).get("registries")
            if listed is not None:
                return tuple(map(str, listed))
        return ()

    def _registries(self) -> Iterator[str]:
        """The files that make registries.conf, the last first."""
        only = self._environ.get("CONTAINERS_REGISTRIES_CONF")
        own = f"{self._own}/containers/registries.conf"
        yield from self._files.parts(f"{own}.d")
        if not only and self._files.at(own).exists():
            yield own
            return
        yield from self._files.parts("/etc/containers/registries.conf.d")
        yield only or "/etc/containers/registries.conf"

    def policies(self) -> tuple[str, ...]:
        """The files that may say which images can be pulled, and that are there."""
        known = (
            f"{self._own}/containers/policy.json",
            "/etc/containers/policy.json",
            "/usr/share/containers/policy.json",
        )
        return tuple(path for path in known if self._files.at(path).exists())
