"""The columns of the table: which engine it is, in which generation, for whom, and how it is written for short."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from tests.contract.engines import Magnet

GENERATIONS = {"debian-12": "Debian 12", "debian-13": "Debian 13"}

CODES = {
    ("debian-12", "docker"): "D20",
    ("debian-12", "docker-legacy"): "D20L",
    ("debian-12", "docker-buildx"): "D28",
    ("debian-12", "podman"): "P4",
    ("debian-12", "buildah"): "B1",
    ("debian-12", "buildah-chroot"): "B1c",
    ("debian-13", "docker"): "D26",
    ("debian-13", "docker-legacy"): "D26L",
    ("debian-13", "podman"): "P5",
    ("debian-13", "buildah"): "B2",
    ("debian-13", "buildah-chroot"): "B2c",
}
"""A short name for each column of an ordinary table, by generation and by the suite's name of the column."""

ORDER = (
    "D20", "D20r", "D20L", "D28", "P4", "P4r", "B1", "B1r", "B1c", "B1cr",
    "D26", "D26r", "D26L", "P5", "P5r", "B2", "B2r", "B2c", "B2cr",
)  # fmt: skip
"""All columns, as they stand in the table."""


@dataclass(frozen=True)
class Tested:
    """An engine as it was when the behaviours were looked at."""

    __test__ = False  # says pytest

    code: str
    generation: str
    engine: str
    builder: str
    user: str


def generation() -> str:
    """Which generation of engines this is."""
    return os.environ.get("MAGNET_TEST_GENERATION", "debian-12")


def code_of(magnet: Magnet) -> str:
    """The short name of the column that is tested."""
    return CODES[generation(), magnet.column.name] + ("r" if magnet.column.is_rootless else "")


_PROBE = """
import json, sys
from magnet.backends import choose
engine = choose(sys.argv[1]).engine
print(json.dumps({name: str(getattr(engine, name)) for name in
    ("name", "version", "client_version", "builder", "builder_version")}))
"""


def tested(magnet: Magnet) -> Tested:
    """What the probe of the column's engine says."""
    argv = [sys.executable, "-c", _PROBE, magnet.column.backend]
    done = subprocess.run(argv, env=magnet.env, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    client = found["client_version"]
    engine = f"{found['name']} {found['version']}" + (
        f", client {client}" if client and client != found["version"] else ""
    )
    return Tested(
        code_of(magnet),
        generation(),
        engine,
        _builder(magnet, found),
        "ordinary user" if magnet.column.is_rootless else "root",
    )


def _builder(magnet: Magnet, found: dict[str, Any]) -> str:
    if magnet.column.backend != "docker":
        return "buildah with `--isolation chroot`" if magnet.column.is_chroot else "buildah"
    if found["builder"] == "buildx":
        return f"BuildKit, by buildx {found['builder_version']}"
    return {"buildkit": "BuildKit, built into the client", "legacy": "the legacy builder"}[found["builder"]]
