"""Projects in Go, Python and Node: targets that run the tools that such a project is worked on with."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from magnet.errors import MagnetError
from magnet.starting import code
from magnet.starting.found import Draft, Found


def survey(root: Path) -> Iterator[Found]:
    """What there is of them."""
    yield from _go(root)
    yield from _python(root)
    yield from _node(root)


def command(name: str, help: str, *words: str) -> Draft:
    """A target that runs a program."""
    return Draft(name, help, (code.call("t.exec", map(code.string, words)),))


def _go(root: Path) -> Iterator[Found]:
    text = _text(root / "go.mod")
    if text is None:
        return
    module = re.search(r'^\s*module\s+"?([^\s"]+)', text, re.MULTILINE)
    yield Found(
        "go",
        "go.mod",
        f"the Go module {module[1]}" if module else "a Go module",
        (
            command("build", "Build all packages of Go.", "go", "build", "./..."),
            command("test", "Test all packages of Go.", "go", "test", "./..."),
            command("vet", "Look for mistakes in all packages of Go.", "go", "vet", "./..."),
        ),
    )


def _python(root: Path) -> Iterator[Found]:
    file = next((name for name in ("pyproject.toml", "setup.py", "setup.cfg") if (root / name).is_file()), None)
    if file is None:
        return
    project = _toml(root / "pyproject.toml")
    drafts = []
    if file != "pyproject.toml" or "project" in project or "build-system" in project:
        words = ("python3", "-m", "pip", "wheel", "--no-deps", "--wheel-dir", "dist", ".")
        drafts.append(command("wheel", "Build the wheel of the Python package.", *words))
    if _has_pytest(root, project):
        drafts.append(command("test", "Run the tests in Python.", "python3", "-m", "pytest"))
    elif any(root.glob("test*.py")) or (root / "tests" / "__init__.py").is_file():
        drafts.append(command("test", "Run the tests in Python.", "python3", "-m", "unittest", "discover"))
    if drafts:
        yield Found("python", file, "a Python project", tuple(drafts))


def _has_pytest(root: Path, project: Mapping[str, Any]) -> bool:
    """Whether a file of the project says that pytest runs its tests."""
    return (
        (root / "pytest.ini").is_file()
        or any((root / place / "conftest.py").is_file() for place in (".", "tests", "test"))
        or "pytest"
        in json.dumps([project.get("project"), project.get("dependency-groups"), project.get("tool")], default=str)
        or any("pytest" in (_text(root / name) or "") for name in ("setup.cfg", "tox.ini"))
    )


def _node(root: Path) -> Iterator[Found]:
    package = _json(root / "package.json")
    if package is None:
        return
    manager = _package_manager(root, package)
    scripts = package.get("scripts")
    wanted = [name for name in scripts if not _is_hook(name, scripts)] if isinstance(scripts, dict) else []
    names = [name for name in wanted if re.fullmatch(r"[\w.@][^\s$]*", name)]
    # Npm has an install that takes the locked versions and nothing else; the others' is the one that they have.
    install = "ci" if manager == "npm" and (root / "package-lock.json").is_file() else "install"
    yield Found(
        "node",
        "package.json",
        f"a Node project, with {manager}",
        (
            command("install", "Install the packages of Node.", manager, install),
            *(command(name, f"Run the script `{name}` of package.json.", manager, "run", name) for name in names),
        ),
        left_out=tuple(
            f"the script `{name}`, whose name cannot be that of a target" for name in wanted if name not in names
        ),
    )


_LIFE_CYCLE = ("install", "prepare", "publish", "pack", "version")


def _is_hook(name: str, scripts: Mapping[str, Any]) -> bool:
    """Whether npm runs the script by itself, at an install or before and after another one."""
    hooked = [name.removeprefix(prefix) for prefix in ("pre", "post") if name.startswith(prefix)]
    return name in ("install", "prepare") or any(one in scripts or one in _LIFE_CYCLE for one in hooked)


def _package_manager(root: Path, package: Mapping[str, Any]) -> str:
    named = re.match("(npm|pnpm|yarn|bun)@", str(package.get("packageManager")))
    if named:
        return named[1]
    locks = {"pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn", "bun.lock": "bun", "bun.lockb": "bun"}
    return next((name for lock, name in locks.items() if (root / lock).exists()), "npm")


def _text(path: Path) -> str | None:
    if not path.is_file():
        return None
    return path.read_text(encoding="utf-8", errors="replace")


def _toml(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(_text(path) or "")
    except tomllib.TOMLDecodeError as error:
        raise MagnetError(f"{path.name} cannot be read: {error}", hint="correct it, and try again") from error


def _json(path: Path) -> Mapping[str, Any] | None:
    text = _text(path)
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise MagnetError(f"{path.name} cannot be read: {error}", hint="correct it, and try again") from error
    if not isinstance(found, dict):
        raise MagnetError(f"{path.name} cannot be read: it is not an object", hint="correct it, and try again")
    return found
