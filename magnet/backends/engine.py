"""What a probe finds: the program, the engine behind it, its versions, and what it can do."""

import re
import sys
from typing import Literal

from magnet.values import frozen

BuilderKind = Literal["buildkit", "buildx", "legacy", "buildah"]


@frozen
class Engine:
    """What a probe found.

    `name` is that of the engine, whatever the program is called; `version` is that of what does the work, and
    `client_version` that of the program, where these are two. `builder_version` is that of buildx, with the
    `builder_driver` that it builds with. `storage_driver`, `cgroup_version` (`1` or `2`), `cgroup_manager` and
    `runtime` are in the engine's words, and "" where it does not tell. `ids` is how many user ids a container of a
    rootless engine has, None where there is no limit or it is not told. `is_remote` is whether the engine runs on
    another machine or behind a service, so that it does not see this one's files.

    `features` are the names of what it can do of what not every engine can: see `magnet.backends.features`.
    """

    name: str
    version: str
    rootless: bool = False
    builder: BuilderKind = "buildah"
    features: frozenset[str] = frozenset()
    client_version: str = ""
    builder_version: str = ""
    builder_driver: str = ""
    storage_driver: str = ""
    cgroup_version: str = ""
    cgroup_manager: str = ""
    runtime: str = ""
    ids: int | None = None
    selinux: bool = False
    is_remote: bool = False

    def __str__(self) -> str:
        legacy = ", legacy builder" if self.builder == "legacy" else ""
        return f"{self.name} {self.version}{' rootless' if self.rootless else ''}{legacy}"


def version_numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, to compare; a development version, which has none, is the newest.

    >>> version_numbers("20.10.24+dfsg1"), version_numbers("v0.13") < version_numbers("dev")
    ((20, 10, 24), True)
    """
    match = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(map(int, match[1].split("."))) if match else (sys.maxsize,)
