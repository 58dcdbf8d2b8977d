"""What is known of a machine, as far as engines depend on it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from magnet.model import EMPTY
from magnet.values import frozen

CgroupMode = Literal["v1", "v2", "hybrid", "none"]
SocketState = Literal["answers", "podman", "denied", "missing", "refused"]
ClientKind = Literal["buildkit", "buildx", "legacy", "podman"]


@frozen
class Device:
    """A device file: its permission bits, and whether the user may read and write it."""

    mode: int
    usable: bool


@frozen
class SubIds:
    """A user's subordinate ids: how many there are, and the first id beyond all that any user has."""

    count: int
    next_free: int


@frozen
class Client:
    """A docker client: where it is, and what it builds with."""

    path: str
    version: str
    kind: ClientKind


@frozen
class Machine:
    """The facts. None is what cannot be found out, or, of a limit, that there is none.

    `config` is the directory of the user's configuration, as one would type it. `programs` are the paths of those that
    engines use and that are here. `id_helpers` tells of newuidmap and newgidmap whether they may do what they are for.
    `open_files` and `processes` are hard limits. `search_registries` are the registries in which podman and buildah
    look for a short name, and `storage_conf` the file that says how they keep images. `docker_sockets` are other
    sockets at which a docker daemon answers.
    """

    uid: int
    user: str
    config: str = "~/.config"
    distribution: str = ""
    release: str = ""
    packager: str = ""
    kernel: tuple[int, ...] = ()
    architecture: str = ""
    variables: Mapping[str, str] = EMPTY
    programs: Mapping[str, str] = EMPTY
    id_helpers: Mapping[str, bool] = MappingProxyType({})
    subuids: SubIds | None = None
    subgids: SubIds | None = None
    devices: Mapping[str, Device] = MappingProxyType({})
    namespaces: bool | None = None
    sysctls: Mapping[str, str] = EMPTY
    cgroups: CgroupMode | None = None
    unified_controllers: tuple[str, ...] = ()
    systemd: bool = False
    docker_service: bool = False
    open_files: int | None = None
    processes: int | None = None
    may_raise_limits: bool | None = None
    no_new_privileges: bool = False
    runtime_dir: str = ""
    runtime_dir_usable: bool | None = None
    default_ulimits: bool | None = None
    storage_conf: str = ""
    search_registries: tuple[str, ...] | None = None
    policies: tuple[str, ...] = ()
    docker_clients: tuple[Client, ...] = ()
    docker_socket: str = ""
    docker_state: SocketState | None = None
    docker_sockets: tuple[str, ...] = ()

    @property
    def is_root(self) -> bool:
        """Whether it is root who asks."""
        return self.uid == 0
