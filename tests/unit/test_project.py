"""Which version and name a project has, and what its settings may be."""

import os
import subprocess
from pathlib import Path

import pytest

from magnet.errors import UsageError
from magnet.project import UNVERSIONED, Settings, describe, read_settings


@pytest.fixture(autouse=True)
def bare_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of the user's and no repository above the test's own."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": str(tmp_path),
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.org",
    }.items():
        monkeypatch.setenv(name, value)


def git(directory: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def repository(root: Path, *, remote: str | None = None, commits: int = 0) -> Path:
    """A git repository, and in it a file with a line per commit."""
    root.mkdir(parents=True, exist_ok=True)
    git(root, "init", "--quiet")
    if remote is not None:
        git(root, "remote", "add", "origin", remote)
    for _ in range(commits):
        commit(root)
    return root


def commit(root: Path) -> None:
    with (root / "file").open("a") as file:
        file.write("line\n")
    git(root, "add", "file")
    git(root, "commit", "--quiet", "--message=more")


def name_of(root: Path, name: str | None = None) -> str:
    return describe(root, name).name


def version_of(root: Path) -> str:
    return describe(root, None).version


def test_the_version_is_the_tag_then_the_commits_since_then_whether_it_is_dirty(tmp_path: Path) -> None:
    root = repository(tmp_path / "app", commits=1)
    short = git(root, "rev-parse", "--short", "HEAD")
    assert version_of(root) == short
    (root / "file").write_text("changed\n")
    assert version_of(root) == f"{short}-dirty"
    git(root, "checkout", "--quiet", "file")
    git(root, "tag", "v0.1.0")  # a lightweight one counts too
    assert version_of(root) == "v0.1.0"
    (root / "untracked").touch()
    assert version_of(root) == "v0.1.0"
    commit(root)
    commit(root)
    since = f"v0.1.0-2-g{git(root, 'rev-parse', '--short', 'HEAD')}"
    assert version_of(root) == since
    (root / "below").mkdir()
    assert version_of(root / "below") == since
    with (root / "file").open("a") as file:
        file.write("changed\n")
    assert version_of(root) == f"{since}-dirty"


def test_without_a_repository_a_project_has_a_stand_in_version_and_its_directorys_name(tmp_path: Path) -> None:
    (tmp_path / "my app").mkdir()
    project = describe(tmp_path / "my app", None)
    assert (project.root, project.name, project.version) == (tmp_path / "my app", "my app", "v0.0.0-unversioned")
    assert UNVERSIONED == "v0.0.0-unversioned"


def test_a_repository_without_commits_has_the_stand_in_version(tmp_path: Path) -> None:
    root = repository(tmp_path / "app", remote="git@example.org:team/app.git")
    assert (name_of(root), version_of(root)) == ("example.org/team/app", UNVERSIONED)


def test_without_git_a_repository_is_a_directory_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = repository(tmp_path / "app", remote="git@example.org:team/app.git", commits=1)
    assert version_of(root) != UNVERSIONED
    monkeypatch.setenv("PATH", "")
    assert (name_of(root), version_of(root)) == ("app", UNVERSIONED)


def test_the_root_of_all_directories_has_a_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert name_of(Path("/")) == "root"


@pytest.mark.parametrize(
    "remote",
    [
        "https://example.org/team/app",
        "https://example.org/team/app.git",
        "https://example.org/team/app/",
        "https://example.org/team/app.git/",
        "https://example.org:8443/team/app.git",
        "https://user@example.org/team/app.git",
        "https://user:s3cret@example.org/team/app.git",
        "https://user:s3c%40ret@example.org:8443/team/app.git",
        "https://:s3cret@example.org/team/app.git",
        "http://example.org/team/app",
        "git://example.org/team/app.git",
        "ssh://example.org/team/app.git",
        "ssh://git@example.org/team/app.git",
        "ssh://git@example.org:2222/team/app.git",
        "git+ssh://git@example.org/team/app.git",
        "git@example.org:team/app.git",
        "git@example.org:team/app",
        "git@example.org:/team/app.git",
        "example.org:team/app.git",
    ],
)
def test_every_form_of_a_remote_gives_the_same_name(tmp_path: Path, remote: str) -> None:
    root = repository(tmp_path / "clone", remote=remote)
    (root / "examples" / "docker").mkdir(parents=True)
    assert name_of(root) == "example.org/team/app"
    assert name_of(root / "examples" / "docker") == "example.org/team/app/examples/docker"


@pytest.mark.parametrize(
    "remote",
    [
        "https://user:s3cret@example.org/team/app.git",
        "https://s3cret@example.org/team/app.git",
        "https://user:s3cret@pass@example.org/team/app.git",
        "https://user:s3cret/pass@example.org/team/app.git",
        "https://user:s3cret@example.org",
        "https://user:s3cret@[2001:db8::1]/team/app.git",
    ],
)
def test_credentials_in_a_remote_never_come_into_the_name(tmp_path: Path, remote: str) -> None:
    assert "s3cret" not in name_of(repository(tmp_path / "clone", remote=remote))


@pytest.mark.parametrize(
    "remote",
    [
        "/srv/git/app.git",
        "./app.git",
        "../app.git",
        "file:///srv/git/app.git",
        "~/app.git",
        pytest.param("mirrors/app.git"),
    ],
)
def test_a_remote_on_this_machine_gives_no_name(tmp_path: Path, remote: str) -> None:
    root = repository(tmp_path / "clone", remote=remote)
    (root / "services" / "web").mkdir(parents=True)
    assert name_of(root) == "clone"
    assert name_of(root / "services" / "web") == "services/web"


def test_in_a_repository_without_a_remote_the_name_is_the_path_in_it(tmp_path: Path) -> None:
    root = repository(tmp_path / "clone")
    (root / "services" / "wéb app").mkdir(parents=True)
    assert name_of(root) == "clone"
    assert name_of(root / "services" / "wéb app") == "services/wéb-app"


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("shop", "shop"),
        ("example.org/team/shop", "example.org/team/shop"),
        ("/team//shop/", "team/shop"),
        ("../../team/./shop", "team/shop"),
        ("a b:c*d", "a-b-c-d"),
        ("..", "clone"),
        ("", "example.org/team/app"),
    ],
)
def test_the_name_in_the_settings_wins_and_stays_below_the_cache(tmp_path: Path, setting: str, name: str) -> None:
    root = repository(tmp_path / "clone", remote="git@example.org:team/app.git")
    assert name_of(root, setting) == name


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        (None, Settings()),
        ("", Settings()),
        ("[project]\nname = 'x'\n[tool.other]\nname = 'y'\n", Settings()),
        ("[tool.magnet]\n", Settings()),
        ("[tool.magnet]\nname = 'shop'\n", Settings(name="shop")),
        ("[tool.magnet]\nname = 'shop'\nbackend = 'podman'\n", Settings(backend="podman", name="shop")),
        ("[tool.magnet]\nlog_runs = 3\n", Settings(log_runs=3)),
        ("[tool.other", Settings()),
    ],
)
def test_settings_are_read_from_pyproject_where_there_is_one(
    tmp_path: Path, text: str | None, settings: Settings
) -> None:
    if text is not None:
        (tmp_path / "pyproject.toml").write_text(text)
    assert read_settings(tmp_path) == settings


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            b"[tool.magnet\n",
            "pyproject.toml cannot be read: Expected ']' at the end of a table declaration (at line 1, column 13)",
            None,
        ),
        (
            b"magnet = '\xff'\n",
            "pyproject.toml cannot be read: 'utf-8' codec can't decode byte 0xff in position 10: invalid start byte",
            None,
        ),
        (
            b"[tool.magnet]\nbackends = 'podman'\n",
            "pyproject.toml: [tool.magnet] has no setting `backends`",
            "did you mean `backend`?",
        ),
        (
            b"[tool.magnet]\nzzz = 1\n",
            "pyproject.toml: [tool.magnet] has no setting `zzz`",
            "known are: backend, name, log_runs",
        ),
        (b"[tool.magnet]\nname = 3\n", "pyproject.toml: [tool.magnet] name must be a string", None),
        (b"[tool.magnet]\nbackend = ['podman']\n", "pyproject.toml: [tool.magnet] backend must be a string", None),
        (b"[tool.magnet]\nlog_runs = 0\n", "pyproject.toml: [tool.magnet] log_runs must be a number from 1", None),
        (b"[tool.magnet]\nlog_runs = '5'\n", "pyproject.toml: [tool.magnet] log_runs must be a number from 1", None),
        (b"[tool.magnet]\nlog_runs = true\n", "pyproject.toml: [tool.magnet] log_runs must be a number from 1", None),
    ],
    ids=["no toml", "no text", "misspelt", "unknown", "number", "list", "no run", "text", "a truth"],
)
def test_settings_that_are_not_usable_are_an_error_that_names_them(
    tmp_path: Path, text: bytes, message: str, hint: str | None
) -> None:
    (tmp_path / "pyproject.toml").write_bytes(text)
    with pytest.raises(UsageError) as caught:
        read_settings(tmp_path)
    assert (caught.value.message, caught.value.hint, caught.value.detail) == (message, hint, ())


@pytest.mark.parametrize("text", ["tool = 'magnet'", "[tool]\nmagnet = 'podman'", "[[tool.magnet]]\nname = 'x'"])
def test_settings_that_are_no_table_are_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(UsageError, match=r"^pyproject\.toml"):
        read_settings(tmp_path)
