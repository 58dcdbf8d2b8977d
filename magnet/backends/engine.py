"""What a probe finds: the program, the engine behind it, its versions, and what it can do."""

import re
import sys
from typing import Literal

from magnet.values import frozen

BuilderKind = Literal["buildkit", "buildx", "legacy", "buildah"]


@frozen
class Engine:
    """What a probe found.

    `name` is that of the engine, whatever the program is called, of which `program` is the path; `version` is that of
    what does the work, and `client_version` that of the program, where these are two. `builder_version` is that of
    buildx, with the `builder_driver` that it builds with, and the `buildkit_version` there. `storage_driver`,
    `cgroup_version` (`1` or `2`), `cgroup_manager` and `runtime` are in the engine's words, and "" where it does not
    tell. `ids` is how many user ids a container of a rootless engine has, None where there is no limit or it is not
    told. `is_remote` is whether the engine is reached over a network, so that it does not see this machine's files.

    `features` are the names of what it can do of what not every engine can: see `magnet.backends.features`.
    """

    name: str
    version: str
    rootless: bool = False
    builder: BuilderKind = "buildah"
    features: frozenset[str] = frozenset()
    program: str = ""
    client_version: str = ""
    builder_version: str = ""
    builder_driver: str = ""
    buildkit_version: str = ""
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


def is_elsewhere(address: str) -> bool:
    """Whether what listens at an address is on another machine; one that is not known may be anywhere.

    >>> [is_elsewhere(one) for one in ("unix:///run/docker.sock", "tcp://127.0.0.1:2375", "ssh://core@10.0.0.1:22", "")]
    [False, False, True, True]
    """
    scheme, _, rest = address.partition("://")
    if scheme in ("unix", "fd"):
        return False
    host = rest.partition("/")[0].rpartition("@")[2]
    return re.fullmatch(r"(localhost|127\.[\d.]+|\[::1\])(:\d+)?", host) is None


def version_numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, to compare; a development version, which has none, is the newest.

    >>> version_numbers("20.10.24+dfsg1"), version_numbers("v0.13") < version_numbers("dev")
    ((20, 10, 24), True)
    """
    match = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(map(int, match[1].split("."))) if match else (sys.maxsize,)
