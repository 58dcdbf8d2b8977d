"""The variables of a magnetfile: what they may be, where their values come from, and what is not usable."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import assert_type

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnet import MagnetError, buildfile, env
from magnet.buildfile import Buildfile
from magnet.envs import Variable, check_required, closed, secret_values
from magnet.errors import MagnetfileError, UsageError
from magnet.kinds import Rule, kind_of, text_of

Load = Callable[..., Buildfile]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a magnetfile beside files; what it calls `found` is what it found."""

    def load(source: str, files: dict[str, str] | None = None, **environ: str) -> Buildfile:
        head = "from pathlib import Path\nfrom magnet import env, import_env, target\n"
        (tmp_path / "magnetfile.py").write_text(head + textwrap.dedent(source))
        for name, text in (files or {}).items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        return buildfile.load(tmp_path / "magnetfile.py", environ)

    return load


def values(loaded: Buildfile) -> dict[str, tuple[str, str]]:
    return {one.name: (one.value, one.source) for one in loaded.variables}


def error_of(run: Callable[[], object]) -> MagnetfileError:
    with pytest.raises(MagnetfileError) as caught:
        run()
    return caught.value


# Types and choices


def test_a_value_has_the_type_that_is_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    def words(text: str) -> list[str]:
        return text.split()

    for name, value in {"N": "8", "R": "0.5", "B": "no", "P": "a/b", "S": "1", "W": "a b"}.items():
        monkeypatch.setenv(name, value)
    # Type checkers know of it as well: mypy reads this.
    found = (
        assert_type(env("N", type=int, required=True), int),
        assert_type(env("N", 1), int),
        assert_type(env("N", type=int), int | None),
        assert_type(env("R", 1.0, choices=[0.5, 1.0]), float),
        assert_type(env("B", True), bool),
        assert_type(env("P", "dist", type=Path), Path),
        assert_type(env("P", Path("dist")), Path),
        assert_type(env("S", "x", choices=["1", "x"]), str),
        assert_type(env("S", required=True), str),
        assert_type(env("W", type=words, required=True), list[str]),
    )
    assert found == (8, 8, 8, 0.5, False, Path("a/b"), Path("a/b"), "1", "1", ["a", "b"])


def test_without_a_value_it_is_the_default_and_without_one_nothing() -> None:
    found = (
        env("MAGNET_TEST_NONE"),
        env("MAGNET_TEST_NONE", type=int),
        env("MAGNET_TEST_NONE", choices=["a"]),
        env("MAGNET_TEST_NONE", "8", type=int),
        env("MAGNET_TEST_NONE", "no", type=bool),
        env("MAGNET_TEST_NONE", 8),
        env("MAGNET_TEST_NONE", "dist", type=Path),
    )
    assert found == ("", None, "", 8, False, 8, Path("dist"))


@pytest.mark.parametrize("text", ["1", "true", "T", "YES", "y", "On"])
def test_a_bool_is_true_in_the_usual_words(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAG", text)
    assert env("FLAG", False) is True


@pytest.mark.parametrize("text", ["0", "false", "F", "NO", "n", "Off"])
def test_a_bool_is_false_in_the_usual_words(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAG", text)
    assert env("FLAG", True) is False


@given(
    st.one_of(
        st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(min_size=1).map(lambda text: Path("x" + text))
    )
)
def test_a_value_written_as_text_is_that_value(value: object) -> None:
    rule = Rule("X", kind_of("X", None, value))
    assert rule.read(text_of(value), "from the environment") == value


@pytest.mark.parametrize(
    ("declaration", "value", "message", "hint"),
    [
        ('"X", 1', "8a", "is `8a` (from the environment), which is not a whole number", "set X to another value"),
        ('"X", 1.0', "a", "is `a` (from the environment), which is not a number", "set X to another value"),
        ('"X", True', "maybe", "is `maybe` (from the environment), which is not true or false", "set X to another value"),
        ('"X", type=Path', "", "is empty (from the environment), which is not a path", "set X to another value"),
        ('"X", 1', "", "is empty (from the environment), which is not a whole number", "set X to another value"),
        ('"X", type=word', "a b", "is `a b` (from the environment), which is not what `word` takes: two words", "set X to another value"),
        ('"X", choices=["fast", "slow"]', "fats", "is `fats` (from the environment), which is none of: fast, slow", "did you mean `fast`?"),
        ('"X", 1, choices=[1, 2]', "3", "is `3` (from the environment), which is none of: 1, 2", "set X to another value"),
        ('"X", "a", type=int', None, "is `a` (its default), which is not a whole number", None),
        ('"X", 3, choices=[1, 2]', None, "is `3` (its default), which is none of: 1, 2", None),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_an_error_that_says_where_it_comes_from(
    load: Load, declaration: str, value: str | None, message: str, hint: str | None
) -> None:
    source = f"""
        def word(text):
            if " " in text:
                raise ValueError("two words")
            return text

        env({declaration})
    """
    error = error_of(lambda: load(source, **({} if value is None else {"X": value})))
    assert (error.message, error.hint) == (f"`X` {message}", hint)
    assert error.detail == ("magnetfile.py:9: in <module>", f"  env({declaration})")


@pytest.mark.parametrize(
    "declaration", ['"X", type=int', '"X", choices=["hunter3"]', '"X", type=odd', '"X", default=0', '"X", type=worse']
)
def test_a_secret_that_does_not_fit_is_not_told(load: Load, declaration: str) -> None:
    source = f"""
        TOKEN = env("TOKEN", secret=True)

        def odd(text):
            raise ValueError(text)

        def worse(text):
            raise LookupError(TOKEN)

        env({declaration}, secret=True)
    """
    error = error_of(lambda: load(source, X="hunter2", TOKEN="hunter2-of-token"))
    assert error.message.startswith(
        ("`X` has a value (from the environment), which is ", "magnetfile.py cannot be loaded: ")
    )
    assert error.hint in ("set X to another value", None)
    assert "hunter2" not in f"{error.message} {error.detail} {error.hint}"


def test_a_secret_is_not_in_what_python_says_of_a_magnetfile(load: Load) -> None:
    error = error_of(lambda: load('int(env("PIN", secret=True))', PIN="hunter2"))
    assert error.message == "magnetfile.py cannot be loaded: ValueError: invalid literal for int() with base 10: '***'"


def test_what_a_secret_is_converted_to_is_as_secret(load: Load) -> None:
    loaded = load('env("PIN", type=int, secret=True)\nenv("KEY", "a//b", type=Path, secret=True)', PIN="0042")
    assert secret_values(loaded.variables) == ("0042", "42", "a//b", "a/b")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('env("")', "`` cannot be the name of a variable"),
        ('env("A=B")', "`A=B` cannot be the name of a variable"),
        ('env("A", type="int")', "`'int'` is no type for `A`"),
        ('env("A", [])', "the default of `A` is of type list"),
        ('env("A", "x", required=True)', "`A` is required, and has a default"),
        ('env("A", "x")\nenv("A", "y")', "`A` is declared twice, in different ways"),
        ('env("A", secret=True)\nenv("A")', "`A` is declared twice, in different ways"),
    ],
)
def test_a_declaration_that_means_nothing_is_an_error(load: Load, source: str, message: str) -> None:
    assert error_of(lambda: load(source)).message == message


def test_a_variable_may_be_declared_twice_in_one_way(load: Load) -> None:
    assert values(load('env("A", 1)\nenv("A", 1)', A="2")) == {"A": ("2", "environment")}


# Required


def test_what_is_required_and_missing_can_be_listed_and_not_run(load: Load) -> None:
    source = """
        env("VERSION", required=True, help="What to publish")
        env("PORT", type=int, required=True)
        env("TOKEN", required=True, secret=True)
    """
    loaded = load(source, TOKEN="x", VERSION="", PORT="")
    assert [(one.name, one.value, one.is_missing) for one in loaded.variables] == [
        ("VERSION", "", True),
        ("PORT", "", True),
        ("TOKEN", "x", False),
    ]
    with pytest.raises(UsageError) as caught:
        check_required(loaded.variables)
    assert caught.value.message == "`VERSION`, `PORT` are required, and not set"
    assert caught.value.detail == ("VERSION: What to publish",)
    assert caught.value.hint == "VERSION=... PORT=... magnet ...; `magnet envs` shows all variables"
    check_required(load(source, TOKEN="x", VERSION="1", PORT="2").variables)


def test_a_magnetfile_that_fails_for_want_of_a_required_variable_says_so(load: Load) -> None:
    error = error_of(lambda: load('env("PORT", type=int, required=True) + 1'))
    assert error.message.startswith("magnetfile.py cannot be loaded: TypeError: ")
    assert error.hint == "set what is required and has no value yet: `PORT`"


def test_a_target_that_runs_declares_nothing() -> None:
    with closed(), pytest.raises(MagnetError, match="`TOKEN` is declared while a target runs"):
        env("TOKEN", secret=True)


# Imports


def test_the_environment_comes_before_what_is_imported_and_that_before_the_default(load: Load) -> None:
    source = """
        import_env(".env")
        found = [env(name, "default") for name in "ABCD"]
    """
    loaded = load(source, {".env": "A=file\nB=file\nD="}, A="environment")
    assert loaded.variables == (
        Variable("A", "environment", "default", "", source="environment"),
        Variable("B", "file", "default", "", source=".env"),
        Variable("C", "default", "default", "", source="default"),
        Variable("D", "", "default", "", source=".env"),
    )


def test_of_two_imports_the_later_one_counts(load: Load) -> None:
    files = {".env": "A=1\nB=1", ".env.local": "B=2\nC=$A"}
    loaded = load('import_env(".env")\nimport_env(".env.local")\n[env(name) for name in "ABC"]', files)
    assert values(loaded) == {"A": ("1", ".env"), "B": ("2", ".env.local"), "C": ("1", ".env.local")}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (".env", "A=x\nB=y z"),
        ("sub/.env.ci", "A=x\nB='y z'"),
        ("versions.env", "A=x\nB='y z'"),
        ("versions.json", '{"A": "x", "B": "y z"}'),
        ("versions.toml", 'A = "x"\nB = "y z"\n'),
        ("bom.json", '\ufeff{"A": "x", "B": "y z"}'),
    ],
)
def test_a_file_is_read_as_its_name_says(load: Load, name: str, text: str) -> None:
    assert values(load(f'import_env({name!r})\nenv("A"), env("B")', {name: text})) == {
        "A": ("x", name),
        "B": ("y z", name),
    }
    assert values(load(f'import_env(Path({name!r}))\nenv("A")')) == {"A": ("x", name)}


def test_a_function_gives_values(load: Load) -> None:
    source = """
        def versions():
            return {"GO": "1.22"}

        import_env(versions)
        env("GO")
    """
    assert values(load(source)) == {"GO": ("1.22", "versions()")}


def test_a_prefix_chooses_names_and_is_taken_off(load: Load) -> None:
    source = 'import_env(".env", prefix="APP_")\nenv("A", "default"), env("B", "default")'
    assert values(load(source, {".env": "APP_A=1\nB=2\nAPP_=3"})) == {"A": ("1", ".env"), "B": ("default", "default")}


def test_a_file_that_is_not_required_may_be_missing(load: Load) -> None:
    assert values(load('import_env(".env", required=False)\nenv("A", "1")')) == {"A": ("1", "default")}


@pytest.mark.parametrize(
    ("source", "files", "message"),
    [
        ('import_env(".env")', {}, "there is no file .env to import variables from"),
        ('import_env("sub.env")', {"sub.env/x": ""}, "cannot read sub.env: Is a directory"),
        ('import_env("a.yaml")', {"a.yaml": ""}, "it is not known how variables are written in a.yaml"),
        ('import_env(".env")', {".env": "A=1\nB"}, ".env:2: this is no NAME=VALUE"),
        ('import_env("a.json")', {"a.json": '{\n"A": hunter2}'}, "a.json:2: Expecting value"),
        ('import_env("a.toml")', {"a.toml": "\nA = hunter2"}, "a.toml: Invalid value (at line 2, column 5)"),
        ('import_env("a.json")', {"a.json": "[1]"}, "a.json gives no variables by their names, but a value of type list"),
        ('import_env("a.json")', {"a.json": '{"A": 8080}'}, "a.json: `A` is of type int, and a variable has text"),
        ('import_env("a.toml")', {"a.toml": '[A]\nB = "x"'}, "a.toml: `A` is of type dict, and a variable has text"),
        ('import_env("a.json")', {"a.json": '{"A=B": "x"}'}, "a.json: 'A=B' cannot be the name of a variable"),
        ('import_env("a.json")', {"a.json": '{"A": "\\u0000"}'}, "a.json: the value of `A` has a null character, which no variable can have"),
        ("import_env(lambda: 1)", {}, "`<lambda>()` gives no variables by their names, but a value of type int"),
        ('import_env(lambda: {"A": None})', {}, "`<lambda>()`: `A` is of type NoneType, and a variable has text"),
        ('import_env(make="x", required=False)', {}, "only a file may be missing"),
        ("import_env()", {}, "`import_env` imports from one thing"),
        ('import_env(".env", make="x")', {}, "`import_env` imports from one thing"),
        ('env("A")\nimport_env(".env")', {".env": "A=1"}, "`A` is imported from .env after it was declared"),
    ],
)  # fmt: skip
def test_an_import_that_cannot_be_is_one_clear_error(
    load: Load, source: str, files: dict[str, str], message: str
) -> None:
    error = error_of(lambda: load(source, files))
    assert error.message == message
    assert error.detail[-1] == "  " + source.splitlines()[-1]
    assert "hunter2" not in f"{error.message} {error.detail[:-1]} {error.hint}"


def test_a_file_that_is_not_utf_8_is_an_error(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff")
    assert error_of(lambda: load('import_env(".env")')).message == ".env is not UTF-8"


def test_imports_stand_in_a_magnetfile() -> None:
    from magnet import import_env

    assert error_of(lambda: import_env(".env")).message == "`import_env` is called while no magnetfile is loaded"


# make


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let `make` be a shell script."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def write(script: str) -> None:
        (tmp_path / "bin/make").write_text(f"#!/bin/sh\n{script}")
        (tmp_path / "bin/make").chmod(0o755)

    return write


def test_make_prints_values_for_a_target_which_sees_the_environment(load: Load, make: Callable[[str], None]) -> None:
    make('printf "entering\\nMAGNET_ASKED=%s\\nMAGNET_HERE=$HERE\\nMAGNET_EQUALS= a=b \\nOTHER=1\\n" "$*"')
    source = 'import_env(make="magnet-vars")\n[env(name) for name in ("ASKED", "HERE", "EQUALS", "OTHER")]'
    name = "make magnet-vars"
    assert values(load(source, HERE="x")) == {
        "ASKED": ("-s magnet-vars", name),
        "HERE": ("x", "environment"),
        "EQUALS": (" a=b ", name),
        "OTHER": ("", ""),
    }
    assert load(source, HERE="x").imported["HERE"].value == "x"


def test_without_a_prefix_all_lines_of_make_are_variables(load: Load, make: Callable[[str], None]) -> None:
    make("echo A=1; echo; echo B=2")
    assert values(load('import_env(make="vars", prefix="")\nenv("A"), env("B")')) == {
        "A": ("1", "make vars"),
        "B": ("2", "make vars"),
    }


@pytest.mark.parametrize(
    ("script", "message", "detail"),
    [
        ("echo A=hunter2; echo no rule >&2; exit 2", "`make vars`, which variables are imported from, failed with exit code 2", ("no rule",)),
        ("echo hunter2; echo MAGNET_A hunter2", "line 2 of what `make vars` prints is no MAGNET_NAME=VALUE", ()),
        ("echo MAGNET_=hunter2", "line 1 of what `make vars` prints is no MAGNET_NAME=VALUE", ()),
        ("echo A=hunter2", "`make vars` prints no variable, MAGNET_NAME=VALUE", ()),
        (None, "`make vars`, which variables are imported from, cannot be run", ("[Errno 2] No such file or directory: 'make'",)),
    ],
)  # fmt: skip
def test_a_make_that_gives_no_variables_is_an_error(
    load: Load, make: Callable[[str], None], script: str | None, message: str, detail: tuple[str, ...]
) -> None:
    if script is not None:
        make(script)
    error = error_of(lambda: load('import_env(make="vars")'))
    assert (error.message, error.detail) == (
        message,
        (*detail, "magnetfile.py:3: in <module>", '  import_env(make="vars")'),
    )
    assert error.hint
    assert "hunter2" not in f"{error.message} {error.detail} {error.hint}"
