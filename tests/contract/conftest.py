import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from magnet.testing import program
from magnet.testing.plugin import Leftovers
from tests.contract.engines import NOT_UP, PREFIX, Column, Magnet, columns


def pytest_report_header() -> str:
    """Which engines these are."""
    return f"engines: {os.environ.get('MAGNET_TEST_GENERATION', 'not of scripts/engines')}"


@pytest.fixture(scope="session", params=columns(), ids=lambda column: column.name)
def column(request: pytest.FixtureRequest) -> Column:
    if "MAGNET_TEST_REGISTRY" not in os.environ:
        pytest.fail(NOT_UP, pytrace=False)
    found: Column = request.param
    return found


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory, column: Column) -> Path | None:
    """A directory for PATH with the docker client of the column that has one of its own."""
    if column.name != "docker-buildx":
        return None
    directory = tmp_path_factory.mktemp("client")
    (directory / "docker").symlink_to(os.environ["MAGNET_TEST_DOCKER_LEGACY"])
    return directory


@pytest.fixture(scope="session")
def base(column: Column, client: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image with a shell, made by magnet; it and all that is built upon it are removed in the end."""
    magnet = Magnet(column, tmp_path_factory.mktemp("base"), client)
    busybox = shutil.which("busybox")
    assert busybox, "busybox-static is installed by scripts/engines"
    shutil.copyfile(busybox, magnet.root / "busybox")
    (magnet.root / "busybox").chmod(0o755)
    # Columns that share a store must not share a base, or one would find done what another built.
    label = f"magnet-test={os.getpid()}-{column.name}"
    magnet.write(
        {
            "Dockerfile": f"FROM scratch\nLABEL {label}\nCOPY busybox /bin/busybox\n"
            'RUN ["/bin/busybox", "--install", "-s", "/bin"]\nRUN mkdir -m 1777 /tmp\nCMD ["sh"]\n'
        }
    )
    name = f"{PREFIX}-{column.name}-base:1"
    magnet.ok("build", "-t", name, ".")
    yield name
    images = magnet.engine("images", "--all", "--quiet", "--no-trunc", f"--filter=label={label}").split()
    if images:
        subprocess.run([column.backend, "rmi", "--force", *dict.fromkeys(images)], env=magnet.env, capture_output=True)


@pytest.fixture
def magnet(column: Column, client: Path | None, base: str, tmp_path: Path) -> Magnet:
    """Magnet in an empty project, with the column's engine and the base image at hand."""
    return Magnet(column, tmp_path, client)


@pytest.fixture
def tag(request: pytest.FixtureRequest) -> str:
    """A name for an image of the test's own."""
    return f"{PREFIX}-{abs(hash(request.node.nodeid))}:1"


@pytest.fixture
def leftovers() -> Leftovers:
    """The containers in which builds upon an image work."""
    return _working_containers


def _working_containers(magnet: program.Magnet, image: str) -> list[str]:
    if magnet.column.backend == "docker":
        return []
    if magnet.column.backend == "podman":
        lines = magnet.engine("ps", "--all", "--external", "--format", "{{.Image}} {{.Names}}")
    else:
        lines = magnet.engine("containers", "--format", "{{.ImageName}} {{.ContainerName}}")
    return [line for line in lines.splitlines() if line.startswith(f"{image} ")]


@pytest.fixture
def registry() -> str:
    return os.environ["MAGNET_TEST_REGISTRY"]
