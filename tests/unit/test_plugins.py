"""Backends of other packages: each package here is a module and its metadata, in a directory of its own."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from magnet.backends import check_name, choose, every_name, remove_containers, usable
from magnet.errors import EngineError, MagnetError, UsageError

Package = Callable[[str, Mapping[str, str], str], None]
"""Installs a package: its name, its entry points by name, and the text of its module, which is called as it is."""

WORKING = """
from magnet.backends.engine import Engine
from magnet.backends.podman import Podman


class Own(Podman):
    name = "own"

    @classmethod
    def probe(cls):
        return Engine("own", "1.0", features=frozenset({"detach"}))
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """On a machine without an engine."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONTEXT", "none")

    def install(name: str, points: Mapping[str, str], text: str) -> None:
        directory = tmp_path / name
        metadata = directory / f"{name}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = "".join(f"{key} = {value}\n" for key, value in points.items())
        (metadata / "entry_points.txt").write_text(f"[magnet.backends]\n{lines}")
        (directory / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(str(directory))
        monkeypatch.delitem(sys.modules, name, raising=False)

    return install


def told(error: MagnetError) -> tuple[str, str | None]:
    return error.message, error.hint


def test_a_packages_backend_is_found_by_its_name_and_after_all_of_magnets_own(package: Package) -> None:
    package("one", {"own": "one:Own"}, WORKING)
    assert list(every_name()) == ["docker", "podman", "buildah", "own"]
    check_name("own")
    assert choose("own").engine.version == "1.0"
    assert choose(None).name == "own"
    assert list(usable()) == ["own"]
    assert usable(besides="own") == {}


def test_an_unknown_name_is_told_the_names_of_packages_too(package: Package) -> None:
    package("one", {"own": "one:Own"}, WORKING)
    for wrong, hint in (("owm", "did you mean `own`?"), ("lxc", "known are: docker, podman, buildah, own")):
        with pytest.raises(UsageError) as caught:
            choose(wrong)
        assert told(caught.value) == (f"there is no backend `{wrong}`", hint)


@pytest.mark.parametrize(
    ("point", "text", "message", "hint"),
    [
        (
            "one:Own", "import nosuch_module",
            "the backend `own` of one cannot be loaded: ModuleNotFoundError: No module named 'nosuch_module'",
            "it is `one:Own`; mend or uninstall the package",
        ),
        (
            "one:Own", "",
            "the backend `own` of one cannot be loaded: AttributeError: module 'one' has no attribute 'Own'",
            "it is `one:Own`; mend or uninstall the package",
        ),
        (
            "one:Own", "Own = dict", "the backend `own` of one is no subclass of magnet.backends.api.Backend",
            "it is `one:Own`; mend or uninstall the package",
        ),
        (
            "one:Own", WORKING.replace('"own"', '"other"'), "the backend `own` of one has the name 'other'",
            "it has to be that of its entry point, in small letters, digits, `-`, `_` and `.`",
        ),
    ],
    ids=["cannot be imported", "not in its module", "no backend", "another name"],
)  # fmt: skip
def test_a_broken_backend_is_one_clear_error_and_only_where_it_is_asked_for(
    point: str, text: str, message: str, hint: str, package: Package, tmp_path: Path
) -> None:
    package("one", {"own": point}, text)
    check_name("own")
    with pytest.raises(EngineError) as caught:
        choose("own")
    assert told(caught.value) == (message, hint)
    with pytest.raises(EngineError) as caught:
        choose(None)
    assert caught.value.detail == (*(f"{name} is not installed" for name in ("docker", "podman", "buildah")), message)
    assert usable() == {}
    (tmp_path / "podman").symlink_to("/bin/false")
    assert choose("podman").name == "podman"


def test_a_backend_that_lacks_what_every_backend_has_is_told_what(package: Package) -> None:
    text = "from magnet.backends.base import Backend\n\n\nclass Own(Backend):\n    name = 'own'\n"
    package("one", {"own": "one:Own"}, text)
    with pytest.raises(EngineError, match=r"the backend `own` of one does not define build_command, .*, run_plan"):
        choose("own")


def test_two_packages_with_one_name_are_told_both(package: Package) -> None:
    package("one", {"own": "one:Own"}, WORKING)
    package("two", {"own": "two:Own"}, WORKING)
    assert list(every_name()) == ["docker", "podman", "buildah", "own"]
    with pytest.raises(EngineError) as caught:
        choose("own")
    assert told(caught.value) == (
        "more than one package has a backend `own`: one and two", "uninstall all but one of them"
    )  # fmt: skip


def test_no_package_takes_the_place_of_a_backend_of_magnets_own(package: Package) -> None:
    package("one", {"podman": "one:Own"}, WORKING.replace('"own"', '"podman"'))
    assert list(every_name()) == ["docker", "podman", "buildah"]
    with pytest.raises(EngineError, match="podman is not installed"):
        choose("podman").engine  # noqa: B018 - probes


def test_the_containers_of_a_run_are_no_error_where_its_backend_is_gone(package: Package) -> None:
    remove_containers("own", "magnet-1")


@pytest.mark.parametrize("name", ["'podman'", "None"])
def test_packages_are_not_looked_for_where_a_backend_of_magnets_own_is_meant_or_found(
    name: str, tmp_path: Path
) -> None:
    podman = tmp_path / "podman"
    info = '{"version": {"Version": "5.4.2"}, "host": {"security": {"rootless": true}}}'
    podman.write_text(f"#!/bin/sh\necho '{info}'\n")
    podman.chmod(0o755)
    code = f"import sys\nfrom magnet.backends import choose\nprint(choose({name}).engine)\n"
    code += "assert not {'importlib.metadata', 'magnet.backends.plugins'} & set(sys.modules)\n"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": str(tmp_path), "DOCKER_CONTEXT": "none"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("podman 5.4.2 rootless\n", "")
