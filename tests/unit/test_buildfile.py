"""What a magnetfile can declare, and how it is told when it cannot."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial, wraps
from pathlib import Path
from typing import Any

import pytest

from magnet import MagnetError, buildfile, target
from magnet.buildfile import RESERVED, Buildfile, Call, Target, as_call
from magnet.envs import Variable
from magnet.errors import MagnetfileError, UsageError

Load = Callable[..., Buildfile]


@pytest.fixture(autouse=True)
def _modules() -> Iterator[None]:
    """What a magnetfile imports is imported by one test only."""
    before = set(sys.modules)
    yield
    for name in sys.modules.keys() - before:
        del sys.modules[name]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(source: str, environ: dict[str, str] | None = None, **others: str) -> Buildfile:
        for name, text in {"magnetfile": "from magnet import *\n" + textwrap.dedent(source), **others}.items():
            (tmp_path / f"{name}.py").write_text(text)
        return buildfile.load(tmp_path / "magnetfile.py", environ or {})

    return load


def error_of(load: Callable[[], object]) -> tuple[str, tuple[str, ...], str | None]:
    with pytest.raises(MagnetfileError) as caught:
        load()
    return caught.value.message, caught.value.detail, caught.value.hint


def names(loaded: Buildfile) -> dict[str, str]:
    return {name: target.name for name, target in loaded.names.items()}


def test_the_nearest_magnetfile_upwards_is_found(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "a/b/magnetfile.py").mkdir()
    assert buildfile.find(tmp_path / "a/b/c") in (None, *(up / "magnetfile.py" for up in tmp_path.parents))
    for directory in (tmp_path, tmp_path / "a"):
        (directory / "magnetfile.py").touch()
        assert buildfile.find(tmp_path / "a/b/c") == directory / "magnetfile.py"
    assert buildfile.find(tmp_path) == tmp_path / "magnetfile.py"


def test_a_magnetfile_holds_its_targets_in_their_order(load: Load, tmp_path: Path) -> None:
    loaded = load('''
        @target
        def unit_test(t):
            """Test the units.

            All of them.
            """

        @target(name="say_it", aliases=["s", "tell"], needs=[unit_test], default=True)
        def other(t): ...

        @target()
        def plain(t): ...
    ''')
    first, second, third = loaded.targets
    assert (loaded.path, loaded.root) == (tmp_path / "magnetfile.py", tmp_path)
    assert (first.name, first.help, first.summary) == (
        "unit-test", "Test the units.\n\nAll of them.", "Test the units."
    )  # fmt: skip
    assert (second.name, second.aliases, second.needs) == ("say_it", ("s", "tell"), (first,))
    assert (third.name, third.help, third.summary, third.aliases, third.needs) == ("plain", "", "", (), ())
    assert [target.place for target in loaded.targets] == ["magnetfile.py:3", "magnetfile.py:10", "magnetfile.py:13"]
    assert names(loaded) == {
        "unit-test": "unit-test",
        "say_it": "say_it",
        "s": "say_it",
        "tell": "say_it",
        "plain": "plain",
    }
    assert loaded.default is second


def test_a_magnetfile_may_have_no_target_and_no_default(load: Load) -> None:
    loaded = load("def helper(t): ...")
    assert (loaded.targets, loaded.names, loaded.variables, loaded.default) == ((), {}, (), None)


def test_functions_without_target_or_with_an_underscore_are_private(load: Load) -> None:
    loaded = load("""
        def helper(t): ...

        @target
        def _inner(t): ...

        @target(name="shown")
        def _renamed(t): ...

        @target(needs=[_inner])
        def outer(t): ...
    """)
    assert names(loaded) == {"outer": "outer"}
    assert [as_call(needed).target.name for needed in loaded.targets[0].needs] == ["-inner"]


def test_a_namespace_stands_before_names_and_aliases(load: Load) -> None:
    loaded = load("""
        docker = Namespace("docker")

        @docker.target
        def build_all(t): "Build."

        @docker.target(name="up_load", aliases=["u"], needs=[build_all], default=True)
        def push(t): ...

        @docker.target
        def init(t): ...

        @docker.target
        def _hidden(t): ...

        @target
        def push(t): ...
    """)
    assert names(loaded) == {
        "docker:build-all": "docker:build-all",
        "docker:up_load": "docker:up_load",
        "docker:u": "docker:up_load",
        "docker:init": "docker:init",
        "push": "push",
    }
    assert loaded.targets[0].help == "Build."
    assert loaded.targets[1].needs == (loaded.targets[0],)
    assert loaded.default is loaded.targets[1]


def test_targets_of_an_imported_module_are_targets_too(load: Load) -> None:
    more = "from magnet import target\n\n@target\ndef more(t): ...\n"
    loaded = load("import its_more\n\n@target(needs=[its_more.more])\ndef own(t): ...", its_more=more)
    assert [(target.name, target.place) for target in loaded.targets] == [
        ("more", "its_more.py:3"),
        ("own", "magnetfile.py:4"),
    ]


MANY = """
docs = Namespace("docs")
site = Namespace("site")

@target(aliases=["tell"])
def say_hello(t): ...

@docs.target
def html(t): ...

@site.target(name="html")
def pages(t): ...

@target(name="odd_name")
def odd(t): ...
"""


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("say-hello", "say-hello"),
        ("say_hello", "say-hello"),
        ("tell", "say-hello"),
        ("docs:html", "docs:html"),
        ("odd_name", "odd_name"),
    ],
)
def test_a_target_is_found_by_its_names_and_with_underscores(load: Load, name: str, found: str) -> None:
    assert load(MANY).find(name).name == found


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("say-helo", "did you mean `say-hello`?"),
        ("tel", "did you mean `tell`?"),
        ("html", "did you mean `docs:html` or `site:html`?"),
        ("nothing", "`magnet --list` shows the targets"),
        ("", "`magnet --list` shows the targets"),
    ],
)
def test_a_name_that_is_no_target_is_told_the_nearest(load: Load, name: str, hint: str) -> None:
    loaded = load(MANY)
    with pytest.raises(UsageError) as caught:
        loaded.find(name)
    assert (type(caught.value), caught.value.message) == (UsageError, f"there is no target `{name}` in magnetfile.py")
    assert caught.value.hint == hint


@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize("declared", ["@target\ndef {0}(t): ...", "@target(aliases=['{0}'])\ndef a(t): ..."])
def test_a_name_of_a_command_of_magnets_is_refused(load: Load, name: str, declared: str) -> None:
    assert error_of(lambda: load(declared.format(name))) == (
        f"magnetfile.py:2: a target cannot be called `{name}`: it is a command of magnet's",
        (),
        f'rename the function, or give it another name: @target(name="my-{name}")',
    )


@pytest.mark.parametrize(
    "second",
    ["@target\ndef a(t): ...", "@target(name='a')\ndef b(t): ...", "@target(aliases=['a'])\ndef b(t): ..."],
    ids=["function", "name", "alias"],
)
@pytest.mark.parametrize("first", ["@target\ndef a(t): ...\n", "@target(name='x', aliases=['a'])\ndef c(t): ...\n"])
def test_two_targets_of_one_name_are_refused_with_both_places(load: Load, first: str, second: str) -> None:
    assert error_of(lambda: load(first + second)) == (
        "two targets are called `a`: magnetfile.py:2 and magnetfile.py:4",
        (),
        "rename one of them, or put it into a Namespace",
    )


def test_two_defaults_are_refused_with_both_places(load: Load) -> None:
    source = "@target(default=True)\ndef a(t): ...\n@target(default=True)\ndef b(t): ...\n"
    assert error_of(lambda: load(source)) == (
        "more than one default target: `a` (magnetfile.py:2), `b` (magnetfile.py:4)",
        (),
        "leave default=True on one",
    )


def test_a_target_without_a_parameter_is_refused(load: Load) -> None:
    assert error_of(lambda: load("\n@target\ndef a_b(): ...")) == (
        "magnetfile.py:3: target `a-b` takes no parameter",
        (),
        "write `def a_b(t):`",
    )


@pytest.mark.parametrize(
    ("source", "place", "message", "hint"),
    [
        (
            "@target(needs=['b'])\ndef a(t): ...",
            "magnetfile.py:2",
            "'b' is not a target",
            "need takes functions that are decorated with @target, or calls of them",
        ),
        (
            "@target\ndef a(t, n: int): ...\n@target(needs=[a])\ndef b(t): ...",
            "magnetfile.py:4",
            "target `a`: missing a required argument: 'n'",
            "it is `a(n: int)`",
        ),
        (
            "@target\ndef a(t, n=1): ...\na(m=2)",
            "magnetfile.py:4",
            "target `a`: got an unexpected keyword argument 'm'",
            "it is `a(n=1)`",
        ),
    ],
    ids=["not a target", "no argument", "other argument"],
)
def test_a_need_that_cannot_be_called_is_refused(load: Load, source: str, place: str, message: str, hint: str) -> None:
    found, detail, found_hint = error_of(lambda: load(source))
    assert (found.endswith(message), found_hint) == (True, hint)
    assert place in "\n".join([found, *detail])


@pytest.mark.parametrize(
    ("others", "source", "message", "detail"),
    [
        ({}, "def a(t)\n    pass", "magnetfile.py:2: expected ':'", ("def a(t)", "        ^")),
        ({"its_bad": "\ndef a(t)\n"}, "import its_bad", "its_bad.py:2: expected ':'", ("def a(t)", "        ^")),
        (
            {},
            "def look_up(names):\n    return names['x']\nlook_up({})",
            "magnetfile.py cannot be loaded: KeyError: 'x'",
            ("magnetfile.py:4: in <module>", "  look_up({})", "magnetfile.py:3: in look_up", "  return names['x']"),
        ),
        (
            {"its_bad": "def f():\n    1 / 0\nf()\n"},
            "import its_bad",
            "magnetfile.py cannot be loaded: ZeroDivisionError: division by zero",
            ("magnetfile.py:2: in <module>", "  import its_bad", "its_bad.py:3: in <module>", "  f()", "its_bad.py:2: in f", "  1 / 0"),
        ),
        (
            {},
            "target(5)",
            "magnetfile.py cannot be loaded: AttributeError: 'int' object has no attribute '__name__'",
            ("magnetfile.py:2: in <module>", "  target(5)"),
        ),
        (
            {},
            "import its_missing",
            "magnetfile.py cannot be loaded: ModuleNotFoundError: No module named 'its_missing'",
            ("magnetfile.py:2: in <module>", "  import its_missing"),
        ),
    ],
    ids=["syntax", "syntax of an import", "exception", "exception of an import", "exception in magnet", "no module"],
)  # fmt: skip
def test_a_mistake_is_shown_with_its_place_and_no_frame_of_magnets(
    load: Load, others: dict[str, str], source: str, message: str, detail: tuple[str, ...]
) -> None:
    assert error_of(lambda: load(source, **others)) == (message, detail, None)


def test_a_neighbour_of_magnet_is_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buildfile, "__file__", str(tmp_path / "magnet/buildfile.py"))
    project = tmp_path / "magnet-project"
    project.mkdir()
    (project / "its_bad.py").write_text("1 / 0\n")
    (project / "magnetfile.py").write_text("import its_bad\n")
    _, detail, _ = error_of(lambda: buildfile.load(project / "magnetfile.py", {}))
    # Magnet's own frames come first: it is not where it says that it is.
    assert detail[-4:] == ("magnetfile.py:1: in <module>", "  import its_bad", "its_bad.py:1: in <module>", "  1 / 0")


@pytest.mark.parametrize("content", [b"x = '\0'\n", b"# coding: nonsense\n"], ids=["NUL", "encoding"])
def test_a_file_that_is_no_text_has_no_made_up_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "magnetfile.py").write_bytes(content)
    message, _, _ = error_of(lambda: buildfile.load(tmp_path / "magnetfile.py", {}))
    assert not message.startswith(("magnetfile.py:None:", "magnetfile.py:0:"))


def test_an_error_that_a_magnetfile_raises_is_told_as_it_is(load: Load) -> None:
    with pytest.raises(MagnetError) as caught:
        load("raise MagnetError('no coffee', detail=['the pot is empty'], hint='make some')")
    assert (caught.value.message, caught.value.detail, caught.value.hint) == (
        "no coffee", ("the pot is empty",), "make some"
    )  # fmt: skip


def test_a_magnetfile_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "magnetfile.py"
    assert error_of(lambda: buildfile.load(missing, {})) == (
        f"cannot read {missing}: No such file or directory",
        (),
        None,
    )
    assert error_of(lambda: buildfile.load(tmp_path, {})) == (f"cannot read {tmp_path}: Is a directory", (), None)


@pytest.mark.parametrize("source", ["import its_helper", "import its_helper\n1 / 0", "def a(t)"])
def test_after_loading_the_import_path_is_as_before(load: Load, source: str) -> None:
    before = list(sys.path)
    with suppress(MagnetfileError):
        load(source, its_helper="")
    assert sys.path == before


def test_a_magnetfile_is_a_module_like_any_other(load: Load, tmp_path: Path) -> None:
    # A dataclass looks its module up by name, to understand an annotation that is a string.
    loaded = load("""
        from dataclasses import dataclass

        @dataclass(frozen=True)
        class Mode:
            name: "str" = __file__

        @target
        def a(t, mode: Mode = Mode()): ...
    """)
    assert loaded.find("a")().arguments[0][1].name == str(tmp_path / "magnetfile.py")


def test_the_root_can_be_another_than_the_magnetfiles_directory(load: Load, tmp_path: Path) -> None:
    loaded = load("@target\ndef a(t): ...")
    assert buildfile.load(loaded.path, {}, root=tmp_path / "other").root == tmp_path / "other"


def test_a_magnetfile_may_change_the_import_path(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert load("import sys\nsys.path[:] = sys.path[1:]").targets == ()


def test_one_magnetfile_does_not_see_the_targets_of_another(load: Load) -> None:
    assert error_of(lambda: load("@target\ndef a(t): ...\n1 / 0"))[0].endswith("division by zero")
    assert names(load("@target\ndef b(t): ...")) == {"b": "b"}


def test_declared_variables_have_the_value_of_this_run(load: Load) -> None:
    source = """
        VERSION = env("VERSION", "1", help="What to build")
        MODE = env("MODE", "fast")
        EMPTY = env("EMPTY", "full")
        BARE = env("BARE")

        @target
        def build(t, version: str = VERSION): ...
    """
    loaded = load(source, {"VERSION": "2", "EMPTY": "", "OTHER": "x"})
    assert loaded.variables == (
        Variable("VERSION", "2", "1", "What to build", source="environment"),
        Variable("MODE", "fast", "fast", "", source="default"),
        Variable("EMPTY", "", "full", "", source="environment"),
        Variable("BARE", "", "", ""),
    )
    assert dict(loaded.find("build")().arguments) == {"version": "2"}


def work(t: Any, name: str, *more: str, n: int = 1, tags: tuple[str, ...] = ("x",)) -> None: ...


WORK: Target[..., None] = buildfile.target(work)


@pytest.mark.parametrize(
    ("call", "key", "name"),
    [
        (WORK("a"), "work(name='a', more=(), n=1, tags=('x',))", "work(name=a)"),
        (WORK("a", n=1, tags=("x",)), "work(name='a', more=(), n=1, tags=('x',))", "work(name=a)"),
        (WORK("a", "b", n=2), "work(name='a', more=('b',), n=2, tags=('x',))", "work(name=a, more=('b',), n=2)"),
        (WORK("a\n"), "work(name='a\\n', more=(), n=1, tags=('x',))", "work(name='a\\n')"),
        (Call(WORK, (("name", "a"),), label="shown"), "work(name='a')", "shown"),
        pytest.param(
            WORK("a", tags=()),
            "work(name='a', more=(), n=1, tags=())",
            "work(name=a, tags=())",
        ),
    ],
)
def test_a_call_is_one_with_those_of_the_same_arguments_and_shows_the_others(
    call: Call[None], key: str, name: str
) -> None:
    assert (call.key, call.name) == (key, name)


def test_a_call_gives_the_function_its_arguments() -> None:
    @target
    def work(t: str, *words: str, n: int = 1, tags: tuple[str, ...] = ("x",)) -> object:
        return t, words, n, tags

    assert work("a", "b", n=2).run("t") == ("t", ("a", "b"), 2, ("x",))
    assert work().run("t") == ("t", (), 1, ("x",))


def test_a_target_without_parameters_is_called_with_t_alone() -> None:
    @target
    def plain(t: str) -> str:
        return t

    assert plain.takes_nothing
    assert plain().run("t") == "t"
    with pytest.raises(MagnetfileError, match="target `plain`: too many positional arguments"):
        plain("x")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "function",
    [
        lambda t, n: None,
        lambda t, n=1: None,
        lambda t, *n: None,
        lambda t, *, n=1: None,
        lambda t, **n: None,
        wraps(lambda t, n: None)(lambda t: None),
        partial(lambda n, t, m: None, 1),
    ],
)
def test_a_target_takes_something_that_has_parameters_of_any_kind(function: Any) -> None:
    made: Target[..., None] = Target(function, "work")
    assert not made.takes_nothing
    assert made.signature.parameters


def test_a_target_without_arguments_is_a_call_of_it(load: Load) -> None:
    one = load("@target\ndef one(t, n: int = 1): ...").targets[0]
    assert as_call(one).key == as_call(one()).key == as_call(one(n=1)).key == "one(n=1)"
    assert as_call(one(n=2)).name == "one(n=2)"
    assert one().name == "one"
