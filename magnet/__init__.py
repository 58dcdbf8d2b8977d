"""Magnet: a build tool for projects that make containers, on Docker, Podman and Buildah."""

__version__ = "0.1.0"

# Not imported from typing, which would cost half of what `magnet --version` does.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from magnet.body import T as T
    from magnet.buildfile import Namespace as Namespace
    from magnet.buildfile import target as target
    from magnet.container import Container as Container
    from magnet.downloads.handle import Download as Download
    from magnet.envimports import import_env as import_env
    from magnet.envs import env as env
    from magnet.errors import MagnetError as MagnetError
    from magnet.model import Copy as Copy
    from magnet.model import Image as Image
    from magnet.model import Mount as Mount
    from magnet.model import Output as Output
    from magnet.model import Secret as Secret
    from magnet.model import Whole as Whole
    from magnet.parameters import Parameter as Parameter
    from magnet.toolchains.toolchain import Toolchain as Toolchain

_HOMES = {
    "Container": "container",
    "Copy": "model",
    "Download": "downloads.handle",
    "Image": "model",
    "MagnetError": "errors",
    "Mount": "model",
    "Namespace": "buildfile",
    "Output": "model",
    "Parameter": "parameters",
    "Secret": "model",
    "T": "body",
    "Toolchain": "toolchains.toolchain",
    "Whole": "model",
    "env": "envs",
    "import_env": "envimports",
    "target": "buildfile",
}

__all__ = [
    "Container",
    "Copy",
    "Download",
    "Image",
    "MagnetError",
    "Mount",
    "Namespace",
    "Output",
    "Parameter",
    "Secret",
    "T",
    "Toolchain",
    "Whole",
    "env",
    "import_env",
    "target",
]


def __getattr__(name: str) -> "Any":
    # Imported when asked for, so that `magnet --version` need not pay for it.
    if name not in _HOMES:
        raise AttributeError(f"module `magnet` has no attribute `{name}`")
    from importlib import import_module

    return getattr(import_module(f"magnet.{_HOMES[name]}"), name)
