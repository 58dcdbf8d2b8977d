"""What `magnet init` makes of what it finds: always a magnetfile that loads, with the targets that it names."""

import json
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnet import buildfile, parameters
from magnet.errors import MagnetError
from magnet.initcommand import survey
from magnet.starting import magnetfile
from magnet.starting.found import Found


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", ".")
        path.write_text(dedent(text))
    return root


def written(root: Path) -> str:
    return magnetfile.text(magnetfile.named(survey(root) or [magnetfile.HELLO]))


def targets(root: Path) -> str:
    """The functions of the written file, without its head and the comments."""
    return "\n\n\n".join(part for part in written(root).rstrip().split("\n\n\n") if "\ndef " in part) + "\n"


def left_out(root: Path) -> list[str]:
    return re.findall("^# - (.*)$", written(root), re.MULTILINE)


def load(root: Path, text: str) -> buildfile.Buildfile:
    path = root / "magnetfile.py"
    path.write_text(text)
    return buildfile.load(path, {})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "My_App"
    made.mkdir()
    return made


def test_a_dockerfile_becomes_a_build_and_a_run(root: Path) -> None:
    assert written(write(root, Dockerfile="FROM scratch\n")) == dedent('''\
        from magnet import Image, T, target


        @target
        def build(t: T) -> Image:
            """Build the image from the Dockerfile."""
            return t.build(".", tags=["my-app"])


        @target
        def run(t: T, *command: str) -> None:
            """Run a command in the image, or what it runs by itself."""
            t.run(t.need(build), *command, attach=True)
        ''')


def test_stages_become_choices_and_args_become_variables(root: Path) -> None:
    write(
        root,
        Containerfile="""\
            ARG BASE=scratch
            FROM $BASE AS Compile
            ARG VERSION=1 USER=app
            ARG TARGETPLATFORM HTTP_PROXY SOURCE_DATE_EPOCH
            FROM compile
            ARG VERSION
            """,
    )
    assert written(root) == dedent('''\
        from typing import Literal

        from magnet import Image, T, env, target

        BASE = env("BASE", help="ARG of the Containerfile; empty leaves it its default")
        VERSION = env("VERSION", help="ARG of the Containerfile; empty leaves it its default")


        @target
        def build(t: T, *, stage: Literal["compile"] | None = None) -> Image:
            """Build the image from the Containerfile, or one of its stages."""
            args = {"BASE": BASE, "VERSION": VERSION}
            return t.build(
                ".",
                tags=[f"my-app:{stage}" if stage else "my-app"],
                stage=stage,
                build_args={name: value for name, value in args.items() if value},
            )


        @target
        def run(t: T, *command: str) -> None:
            """Run a command in the image, or what it runs by itself."""
            t.run(t.need(build), *command, attach=True)


        # Of Containerfile there is not in this file:
        # - ARG USER, as each shell has a USER of its own
        ''')


def test_a_dockerfile_that_cannot_be_read_is_built_as_it_is(root: Path) -> None:
    write(root, Dockerfile="# no stage yet\n")
    assert targets(root).startswith("@target\ndef build(t: T) -> Image:\n")
    (left,) = left_out(root)
    assert left.startswith("its ARGs and stages, as it cannot be read: ")


def test_services_that_build_become_images_and_others_containers(root: Path) -> None:
    (root / "web").mkdir()
    write(
        root,
        compose__yaml="""\
            x-env: &env {LEVEL: 1.5, DEBUG: true}
            services:
              web:
                build:
                  context: ./web
                  dockerfile: ../web.dockerfile
                  target: final
                  args: [A=1, "B=${TAG:-x y}"]
              db:
                image: postgres:${PG:-16}-alpine
                command: postgres -c 'max_connections = 9'
                environment: {<<: *env, PASSWORD: $PASSWORD, PRICE: 5$$}
                ports: [5432:5432, 80]
                volumes: [./web:/web:ro]
                healthcheck: {test: [CMD, pg_isready]}
                init: true
            """,
    )
    assert written(root) == dedent('''\
        from magnet import Container, Image, Mount, T, env, target

        TAG = env("TAG", "x y", help="For the compose file")
        PG = env("PG", "16", help="For the compose file")
        PASSWORD = env("PASSWORD", help="For the compose file")


        @target
        def web(t: T) -> Image:
            """Build the image of the service `web`."""
            return t.build(
                "web",
                tags=["my-app-web"],
                file="web.dockerfile",
                stage="final",
                build_args={"A": "1", "B": TAG},
            )


        @target
        def db(t: T) -> Container:
            """Start the service `db` for targets that need it; it is gone when magnet ends."""
            return t.start(
                "postgres:" + PG + "-alpine",
                "postgres",
                "-c",
                "max_connections = 9",
                env={"LEVEL": "1.5", "DEBUG": "true", "PASSWORD": PASSWORD, "PRICE": "5$"},
                options=["--publish=5432:5432", "--publish=80"],
                mounts=[Mount("web", "/web", readonly=True)],
                health=["pg_isready"],
                init=True,
            )
        ''')


def test_what_is_not_the_same_to_magnet_is_left_out_by_name(root: Path) -> None:
    write(
        root,
        compose__yml="""\
            services:
              app:
                build: {context: ., ssh: [default]}
                depends_on: [db]
              db:
                image: db
                volumes: [data:/data]
                environment: [TOKEN, "A=${A?missing}"]
                healthcheck: {test: [NONE], interval: 1s}
              far: {build: "https://example.org/repository.git"}
              odd: [1]
              --help: {image: x}
              none: {networks: [x]}
              two: {image: "two:${V:-1}"}
              three: {image: "three:${V:-2}"}
            volumes: {data: }
            secrets: {a: {file: a}}
            """,
    )
    write(root, __env="V=3\n", compose__override__yaml="services: {}\n")
    assert left_out(root) == [
        "`ssh` of `build` of the service `app`",
        "`depends_on` of the service `app`",
        "`volumes` of the service `db`, as `data` is no file or directory here",
        "`TOKEN` in `environment` of the service `db`, which has no value there",
        "`environment` of the service `db`, as of `${A?missing}`",
        "`interval` in `healthcheck` of the service `db`",
        "`healthcheck` of the service `db`",
        "the service `far`, as `https:/example.org/repository.git` is no directory here",
        "the service `odd`, which is no mapping",
        "the service `--help`, whose name cannot be that of a target",
        "the service `none`, which has neither `build` nor `image`",
        "the service `three`, as V has another default elsewhere",
        "`volumes`",
        "`secrets`",
        "what compose.override.yaml changes",
        "values of .env, which are for compose",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("services: [", "expected the node content, but found '<stream end>', line 1"),
        ("a: 1\na: 2\n", 'found duplicate key "a" with value "2" (original value: "1"), line 2'),
        ("services: 3\n", "`services` is no mapping"),
        ("- a\n", "it is no mapping"),
        ("a: \x01\n", "unacceptable character #x0001: special characters are not allowed"),
    ],
)
def test_a_compose_file_that_cannot_be_read_is_an_error(root: Path, text: str, why: str) -> None:
    write(root, compose__yaml=text)
    with pytest.raises(MagnetError) as raised:
        survey(root)
    assert (raised.value.message, raised.value.hint) == (
        f"compose.yaml cannot be read: {why}",
        "correct it, and try again",
    )


def test_without_a_reader_of_yaml_it_is_said_how_to_get_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ruamel.yaml", None)
    write(root, compose__yaml="services: {}\n")
    with pytest.raises(MagnetError) as raised:
        survey(root)
    assert raised.value.message == "compose.yaml cannot be read without ruamel.yaml"
    assert raised.value.hint == "install it beside magnet: pip install 'magnet-build[compose]'"


def commands(root: Path) -> dict[str, str]:
    """What the targets run, by their names."""
    found = load(root, written(root))
    said: list[str] = []

    class Told:
        def exec(self, *words: str) -> None:
            said.append(" ".join(words))

    for target in found.targets:
        target.function(Told())
    return dict(zip([target.name for target in found.targets], said, strict=True))


def test_go_python_and_node_get_what_they_are_worked_on_with(root: Path) -> None:
    (root / "tests").mkdir()
    write(root, go__mod="module example.org/app\n", pyproject__toml='[project]\nname = "app"\n')
    (root / "tests" / "conftest.py").touch()
    scripts = {
        "build": "x",
        "prebuild": "x",
        "postinstall": "x",
        "prepare": "x",
        "test": "x",
        "start:dev": "x",
        "$": "x",
    }
    write(root, package__json=json.dumps({"scripts": scripts}))
    (root / "package-lock.json").touch()
    assert left_out(root) == ["the script `$`, whose name cannot be that of a target"]
    assert commands(root) == {
        "build": "go build ./...",
        "test": "go test ./...",
        "vet": "go vet ./...",
        "wheel": "python3 -m pip wheel --no-deps --wheel-dir dist .",
        "python-test": "python3 -m pytest",
        "install": "npm ci",
        "node-build": "npm run build",
        "node-test": "npm run test",
        "start:dev": "npm run start:dev",
    }


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"setup.py": "", "test_it.py": ""},
            ["python3 -m pip wheel --no-deps --wheel-dir dist .", "python3 -m unittest discover"],
        ),
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, ["python3 -m pytest"]),
        ({"package.json": "{}", "yarn.lock": ""}, ["yarn install"]),
        ({"package.json": '{"packageManager": "pnpm@9"}', "yarn.lock": ""}, ["pnpm install"]),
        ({"Makefile": "all:\n\ttrue\n"}, ["make"]),
        ({"GNUmakefile": ".PHONY: a $(B)\n", "Makefile": ".PHONY: c\n"}, ["make a"]),
    ],
)
def test_each_project_gets_its_own_tools(root: Path, files: dict[str, str], expected: list[str]) -> None:
    for name, text in files.items():
        (root / name).write_text(text)
    assert list(commands(root).values()) == expected


def test_a_settings_file_alone_is_no_python_project(root: Path) -> None:
    assert survey(write(root, pyproject__toml='[tool.magnet]\nbackend = "podman"\n')) == []


@pytest.mark.parametrize(("file", "text"), [("package.json", "{"), ("package.json", "[]"), ("pyproject.toml", "[")])
def test_a_file_that_cannot_be_read_is_an_error(root: Path, file: str, text: str) -> None:
    (root / file).write_text(text)
    with pytest.raises(MagnetError, match=f"^{file} cannot be read: "):
        survey(root)


def test_phony_targets_of_make_keep_their_help(root: Path) -> None:
    write(root, Makefile=".PHONY: all \\\n  init a/b\nall: x ## Make it all\ninit:\nx:\n")
    assert targets(root) == dedent('''\
        @target
        def all(t: T) -> None:
            """Make it all"""
            t.exec("make", "all")


        @target
        def make_init(t: T) -> None:
            """Make `init`."""
            t.exec("make", "init")


        @target(name="a/b")
        def a_b(t: T) -> None:
            """Make `a/b`."""
            t.exec("make", "a/b")
        ''')
    assert left_out(root) == ["targets that are not in .PHONY: they are files"]


def test_the_written_file_is_as_a_formatter_leaves_it(root: Path) -> None:
    test_services_that_build_become_images_and_others_containers(root)
    write(
        root, Dockerfile="ARG A\nFROM scratch AS one\n", Makefile=".PHONY: a-very-long-name-of-a-target-in-a-makefile\n"
    )
    path = root / "magnetfile.py"
    path.write_text(written(root))
    for words in (("format", "--diff"), ("check", "--select=E,F,I,W,UP,RUF", "--isolated")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--no-cache", path], capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (0, done.stdout), done.stdout + done.stderr


WORDS = st.one_of(
    st.sampled_from(
        ["build", "run", "init", "t", "T", "env", "target", "class", "str", "my_app", "my-app", "--x", "a.b"]
    ),
    st.text(max_size=8),
    st.text(st.sampled_from("axN\"'\\\n\t{}$#\0é"), max_size=8),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), WORDS, st.sampled_from(["${A:-b}", "$$", "$A", "${A"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3), max_leaves=6
)
SETTINGS = st.sampled_from(
    [
        "build",
        "image",
        "environment",
        "command",
        "entrypoint",
        "volumes",
        "ports",
        "healthcheck",
        "user",
        "tmpfs",
        "init",
        "other",
    ]
)
SERVICES = st.dictionaries(WORDS, st.one_of(st.dictionaries(SETTINGS, VALUES, max_size=5), VALUES), max_size=4)


@settings(max_examples=150, deadline=None)
@given(
    services=SERVICES,
    scripts=st.dictionaries(WORDS, st.just("x"), max_size=4),
    phony=st.dictionaries(WORDS | st.just("all"), WORDS, max_size=4),
    args=st.lists(WORDS, max_size=3),
    stages=st.lists(st.from_regex("[a-z][a-z0-9._-]{0,5}", fullmatch=True), max_size=3),
)
def test_whatever_is_found_is_written_as_a_magnetfile_that_loads(
    services: dict[str, Any], scripts: dict[str, str], phony: dict[str, str], args: list[str], stages: list[str]
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "compose.yaml").write_text(json.dumps({"services": services}))
        (root / "package.json").write_text(json.dumps({"scripts": scripts}))
        rules = "".join(f"{one}: ## {about}\n" for one, about in phony.items())
        (root / "Makefile").write_bytes(f".PHONY: {' '.join(phony)}\n{rules}".encode(errors="replace"))
        lines = [*(f"ARG {arg}" for arg in args), "FROM scratch", *(f"FROM scratch AS {stage}" for stage in stages)]
        (root / "Dockerfile").write_bytes("\n".join(lines).encode(errors="replace"))
        try:
            found = survey(root)
        except MagnetError:
            return
        check(root, found)


def check(root: Path, found: list[Found]) -> None:
    parts = magnetfile.named(found)
    loaded = load(root, magnetfile.text(parts))
    assert [target.name for target in loaded.targets] == [name for part in parts for name in part.names]
    for target in loaded.targets:
        parameters.make_command(target)
