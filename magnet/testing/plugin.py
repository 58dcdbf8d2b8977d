"""The fixtures of the suite, as a plugin of pytest's: `-p magnet.testing.plugin`."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from magnet.backends import check_name, choose
from magnet.backends.base import Backend
from magnet.errors import MagnetError
from magnet.process import ask
from magnet.testing.program import PREFIX, Column, Magnet

Leftovers = Callable[[Magnet, str], list[str]]
"""What builds upon an image that were interrupted have left in the engine, where its program can tell."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options that say what is tested."""
    group = parser.getgroup("magnet", "the contract of magnet's backends")
    group.addoption("--magnet-backend", metavar="NAME", help="the backend that is tested")
    group.addoption("--magnet-registry", metavar="HOST:PORT", help="a registry that the engine may push to")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to test nothing, or what is not there."""
    name = config.getoption("--magnet-backend")
    if name is None:
        raise pytest.UsageError("--magnet-backend NAME says which backend is tested")
    try:
        check_name(name)
        choose(name).engine  # noqa: B018 - probes
    except MagnetError as error:
        raise pytest.UsageError("\n".join((error.message, *error.detail, error.hint or ""))) from error


@pytest.fixture(scope="session")
def column(request: pytest.FixtureRequest) -> Column:
    """The backend that is tested."""
    name = request.config.getoption("--magnet-backend")
    return Column(name, name)


@pytest.fixture(scope="session")
def base(column: Column, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image with a shell, made by magnet; it and all that is built upon it are removed in the end."""
    magnet = Magnet(column, tmp_path_factory.mktemp("base"))
    busybox = shutil.which("busybox")
    assert busybox, "the suite needs busybox in PATH, linked statically, as Debian's busybox-static has it"
    shutil.copyfile(busybox, magnet.root / "busybox")
    (magnet.root / "busybox").chmod(0o755)
    label = f"{os.getpid()}-{column.name}"
    magnet.write({"Dockerfile": BASE.format(label=label)})
    name = f"{PREFIX}-{column.name}-base:1"
    magnet.ok("build", "-t", name, ".")
    yield name
    _remove_images(choose(column.backend), label)


BASE = """\
FROM scratch
LABEL magnet-test={label}
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir -m 1777 /tmp
CMD ["sh"]
"""
"""The Dockerfile of the base image. Columns that share a store must not share one, so that it has a label."""


def _remove_images(backend: Backend, label: str) -> None:
    """Remove all images that carry a label of these tests, or have a name of theirs; those without a name at last."""
    rows = backend.images()
    with backend.asking({row.id for row in rows}) as answers:
        found = answers()
    ours = {row.id for row in rows if row.repository.startswith(PREFIX)}
    ours |= {name for name, image in found.items() if image and image.labels.get("magnet-test") == label}
    named = [
        f"{row.repository}:{row.tag}" for row in rows if row.id in ours and "<none>" not in (row.repository, row.tag)
    ]
    if named:
        backend.remove_names(named)
    for image in ours & {row.id for row in backend.images()}:
        ask(backend.remove_command(image))


@pytest.fixture
def magnet(column: Column, base: str, tmp_path: Path) -> Magnet:
    """Magnet in an empty project, with the base image at hand."""
    return Magnet(column, tmp_path)


@pytest.fixture
def tag(request: pytest.FixtureRequest) -> str:
    """A name for an image of the test's own."""
    return f"{PREFIX}-{abs(hash(request.node.nodeid))}:1"


@pytest.fixture
def registry(request: pytest.FixtureRequest) -> str:
    """The registry to push to."""
    name: str | None = request.config.getoption("--magnet-registry")
    if name is None:
        pytest.skip("--magnet-registry HOST:PORT says where the engine may push to")
    return name


@pytest.fixture
def leftovers() -> Leftovers:
    """What an engine keeps of builds that were interrupted is not known of one that is not magnet's own."""
    return lambda magnet, image: []
