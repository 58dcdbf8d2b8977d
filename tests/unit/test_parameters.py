"""How the words of a command line become calls of targets."""

import enum
import inspect
import shlex
import types
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnet import Parameter, T, target
from magnet.backends.options import OptionSpec
from magnet.buildfile import Call, Target
from magnet.errors import Finished, MagnetfileError, UsageError, did_you_mean
from magnet.parameters import EngineOptions, parse_calls


class Color(enum.Enum):
    RED = "r"
    GREEN = "g"


@target
def argument(t: T, name: str) -> None: ...


@target
def rest(t: T, *names: str) -> None: ...


@target
def option(t: T, name: str = "x") -> None: ...


@target
def required(t: T, *, name: str) -> None: ...


@target
def switch(t: T, name: bool = False) -> None: ...


@target
def repeated(t: T, name: tuple[str, ...] = ()) -> None: ...


@target
def literal(t: T, name: Literal["a", "b"] = "a") -> None: ...


@target
def member(t: T, name: Color = Color.RED) -> None: ...


@target
def typed(
    t: T,
    whole: int,
    real: float,
    where: Path,
    yes: bool,
    *more: int,
    build_args: tuple[int, ...] = (),
    level: Literal[1, 2] = 1,
    limit: int | None = None,
) -> None: ...


@target(aliases=["hi"])
def greet(
    t: T,
    name: Annotated[str, Parameter(metavar="WHOM")],
    *,
    times: Annotated[int, Parameter("-n", help="how often")] = 1,
    greeting: Annotated[str, "what to say"] = "hello",
    loud: Annotated[bool, Parameter("-l", "--loud")] = False,
    quiet: Annotated[bool, Parameter("-q", "--quiet")] = False,
    color: Color | None = None,
) -> None:
    """Say hello.

    As often as wanted.
    """


@target
def build(
    t: T,
    directory: Annotated[str, Parameter(argument=True, metavar="[PATH]")] = ".",
    *,
    pull: Annotated[str, Parameter("-p", "--pull", metavar="[=POLICY]", implied="always")] = "missing",
    rm: Annotated[bool, Parameter("--rm", "--force-rm")] = False,
    cache: bool = True,
    engine: Annotated[
        tuple[str, ...],
        EngineOptions((OptionSpec("--memory", "BYTES", "memory limit", "-m"), OptionSpec("--init", "", "run an init"))),
    ] = (),
) -> None: ...


@target
def run(t: T, image: str, *command: str, env: Annotated[tuple[str, ...], Parameter("-e", "--env")] = ()) -> None: ...


TYPES = "use str, int, float, bool, Path, Literal, an Enum, or a tuple of one of these"

TARGETS: tuple[Target[..., Any], ...] = (
    argument, rest, option, required, switch, repeated, literal, member, typed, greet, build, run
)  # fmt: skip


def find(name: str) -> Target[..., Any]:
    found = {one.name: one for one in TARGETS}.get(name)
    if found is None:
        raise UsageError(f"there is no target `{name}`", hint=did_you_mean(name, [one.name for one in TARGETS]))
    return found


def parse(line: str, *targets: Target[..., Any], outer: tuple[str, ...] = ()) -> list[tuple[str, dict[str, Any]]]:
    """The calls of a line; of a line without a target's name where there is just the one."""
    words = shlex.split(line)
    calls = parse_calls([targets[0].name, *words], lambda _: targets[0]) if targets else parse_calls(words, find, outer)
    return [(call.target.name, dict(call.arguments)) for call in calls]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("argument y", {"name": "y"}),
        ("argument ''", {"name": ""}),
        ("argument -", {"name": "-"}),
        ("argument -- --y", {"name": "--y"}),
        ("rest", {"names": ()}),
        ("rest y z", {"names": ("y", "z")}),
        ("option", {"name": "x"}),
        ("option --name y", {"name": "y"}),
        ("option --name=y=z", {"name": "y=z"}),
        ("option --name --y", {"name": "--y"}),
        ("option --name=", {"name": ""}),
        ("option --name y --name z", {"name": "z"}),
        ("required --name y", {"name": "y"}),
        ("switch", {"name": False}),
        ("switch --name", {"name": True}),
        ("switch --name --no-name", {"name": False}),
        ("repeated", {"name": ()}),
        ("repeated --name y --name=z", {"name": ("y", "z")}),
        ("literal", {"name": "a"}),
        ("literal --name b", {"name": "b"}),
        ("member", {"name": Color.RED}),
        ("member --name GREEN", {"name": Color.GREEN}),
    ],
)
def test_every_row_of_the_table_of_parameters_holds(line: str, value: dict[str, Any]) -> None:
    assert parse(line) == [(line.split()[0], value)]


def test_values_have_the_type_that_the_parameter_is_annotated_with() -> None:
    [(_, values)] = parse("typed --build-args=1 --build-args 2 --level=2 --limit -3 4 5e1 a/b yes 6 -7")
    assert values == {
        "whole": 4,
        "real": 50.0,
        "where": Path("a/b"),
        "yes": True,
        "more": (6, -7),
        "build_args": (1, 2),
        "level": 2,
        "limit": -3,
    }
    [(_, values)] = parse("typed 4 5 a no")
    assert (values["yes"], values["build_args"], values["level"], values["limit"]) == (False, (), 1, None)


@pytest.mark.parametrize(
    ("line", "given_"),
    [
        ("you", {}),
        ("you -n3", {"times": 3}),
        ("-n 3 you", {"times": 3}),
        ("--times=3 you", {"times": 3}),
        ("-lq you", {"loud": True, "quiet": True}),
        ("you -lqn3", {"loud": True, "quiet": True, "times": 3}),
        ("-ln 3 you -q", {"loud": True, "quiet": True, "times": 3}),
        ("-l=true --quiet=1 you", {"loud": True, "quiet": True}),
        ("--color GREEN you --greeting 'good day'", {"color": Color.GREEN, "greeting": "good day"}),
    ],
)
def test_options_have_short_names_and_stand_before_or_after_arguments(line: str, given_: dict[str, Any]) -> None:
    defaults = {"name": "you", "times": 1, "greeting": "hello", "loud": False, "quiet": False, "color": None}
    assert parse(f"greet {line} option") == [("greet", defaults | given_), ("option", {"name": "x"})]


@pytest.mark.parametrize(
    ("line", "given_"),
    [
        ("", {}),
        ("src", {"directory": "src"}),
        ("--pull src", {"directory": "src", "pull": "always"}),
        ("--pull=newer", {"pull": "newer"}),
        ("--pull --pull=never", {"pull": "never"}),
        ("--rm", {"rm": True}),
        ("--force-rm=TRUE .", {"rm": True}),
        ("--no-cache", {"cache": False}),
        ("--cache=false", {"cache": False}),
        ("--no-cache=true", {"cache": False}),
        ("--no-cache --cache=1", {"cache": True}),
        pytest.param("--no-cache=false", {"cache": True}),
        pytest.param(
            "-p src",
            {"directory": "src", "pull": "always"},
        ),
        ("--memory 1g -m2g -m 3g --init", {"engine": ("--memory=1g", "--memory=2g", "--memory=3g", "--init")}),
    ],
)
def test_options_are_written_as_docker_and_podman_write_them(line: str, given_: dict[str, Any]) -> None:
    defaults = {"directory": ".", "pull": "missing", "rm": False, "cache": True, "engine": ()}
    assert parse(f"build {line}") == [("build", defaults | given_)]


@pytest.mark.parametrize(
    ("line", "calls"),
    [
        ("", []),
        ("option option", [("option", {"name": "x"})] * 2),
        ("argument option option", [("argument", {"name": "option"}), ("option", {"name": "x"})]),
        ("option --name option switch", [("option", {"name": "option"}), ("switch", {"name": False})]),
        ("argument a required --name b", [("argument", {"name": "a"}), ("required", {"name": "b"})]),
        ("switch rest switch --name", [("switch", {"name": False}), ("rest", {"names": ("switch", "--name")})]),
        ("rest -- --name -- switch", [("rest", {"names": ("--name", "--", "switch")})]),
        ("run -e A=1 --env B i -e -- C", [("run", {"image": "i", "command": ("-e", "--", "C"), "env": ("A=1", "B")})]),
        pytest.param(
            "rest - a",
            [("rest", {"names": ("-", "a")})],
        ),
    ],
)
def test_what_a_target_leaves_of_the_words_begins_the_next(line: str, calls: list[tuple[str, Any]]) -> None:
    assert parse(line) == calls


@pytest.mark.parametrize(
    ("line", "name", "message"),
    [
        ("greet -lx you", "greet", "there is no option `-x`"),
        ("switch greet", "greet", "missing argument 'WHOM'"),
        ("run -e A", "run", "missing argument 'IMAGE'"),
        ("required switch", "required", "missing option '--name'"),
        ("argument -- a b", "argument", "got unexpected extra argument (b)"),
        ("greet -n x you", "greet", "invalid value for '-n' / '--times': 'x' is not a valid integer"),
        ("typed 1 x . y", "typed", "invalid value for 'REAL': 'x' is not a valid float"),
        ("typed 1 2 . y 3 z", "typed", "invalid value for '[MORE]...': 'z' is not a valid integer"),
        ("literal --name=c", "literal", "invalid value for '--name': 'c' is not one of 'a', 'b'"),
        ("member --name=r", "member", "invalid value for '--name': 'r' is not one of 'RED', 'GREEN'"),
        pytest.param(
            "switch option --name",
            "option",
            "option '--name' requires an argument",
        ),
    ],
)
def test_words_that_do_not_fit_a_target_are_an_error_that_leads_to_its_help(line: str, name: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line)
    assert caught.value.message == f"target `{name}`: {message}"
    assert caught.value.hint == f"`magnet {name} --help` shows what there is"


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("optoin", "there is no target `optoin`", "did you mean `option`?"),
        ("option y", "there is no target `y`", None),
        ("greet you --tiems=2", "target `greet`: there is no option `--tiems`", "did you mean `--times`?"),
        (
            "greet --jobs 2 you",
            "target `greet`: there is no option `--jobs`",
            "`--jobs` is magnet's own: put it before the target",
        ),
        ("build --rm=false", "`--rm=false` cannot be had", "leave `--rm` out, or give it without a value"),
        ("switch --name=no", "`--name=no` cannot be had", "leave `--name` out, or give it without a value"),
    ],
)
def test_a_mistake_with_a_known_remedy_is_told_it(line: str, message: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line, outer=("--jobs",))
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_the_help_of_a_target_names_all_that_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Finished) as caught:
        parse("greet --help")
    assert caught.value.exit_code == 0
    assert capsys.readouterr().out == (
        "Usage: magnet greet [OPTIONS] WHOM\n"
        "\n"
        "  Say hello.\n"
        "\n"
        "  As often as wanted.\n"
        "\n"
        "  Aliases: hi\n"
        "\n"
        "Options:\n"
        "  -n, --times INTEGER  how often  [default: 1]\n"
        "  --greeting TEXT      what to say  [default: hello]\n"
        "  -l, --loud\n"
        "  -q, --quiet\n"
        "  --color [RED|GREEN]\n"
        "  --help               Show this message and exit.\n"
    )


def test_the_help_of_a_target_has_that_of_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    @target
    def ask(t: T, name: Annotated[str, "whom to ask"]) -> None: ...

    with pytest.raises(Finished):
        parse("--help", ask)
    assert "whom to ask" in capsys.readouterr().out


def test_a_switch_with_a_short_name_can_still_be_switched_off() -> None:
    @target
    def test(t: T, *, race: Annotated[bool, Parameter("-r")] = True) -> None: ...

    assert parse("--no-race", test) == [("test", {"race": False})]


def test_a_call_without_words_is_the_call_without_arguments() -> None:
    @target
    def wait(t, seconds=3): ...  # type: ignore[no-untyped-def]

    assert parse("", wait) == [("wait", dict(wait().arguments))] == [("wait", {"seconds": 3})]


@pytest.mark.parametrize(
    ("parameter", "message", "hint"),
    [
        ("name: dict[str, str]", "a command line has no type `dict[str, str]`", TYPES),
        ("name: bytes | None = None", "a command line has no type `<class 'bytes'>`", TYPES),
        ("*, name: tuple[bytes, ...]", "a command line has no type `<class 'bytes'>`", TYPES),
        ("name: int | str", "a command line has no type `int | str`", TYPES),
        ("*name: bytes", "a command line has no type `<class 'bytes'>`", TYPES),
        pytest.param(
            "name: tuple[int, str] = ()",
            "a command line has no type `tuple[int, str]`",
            TYPES,
        ),
        ("**name: str", "**name cannot be an option", None),
        ("name: 'Nowhere'", "annotation: name 'Nowhere' is not defined", None),
    ],
)
def test_a_parameter_that_no_words_can_give_is_an_error_of_the_magnetfile(
    parameter: str, message: str, hint: str | None
) -> None:
    module: dict[str, Any] = {}
    exec(compile(f"\ndef bad(t, {parameter}): ...", "some/magnetfile.py", "exec"), module)
    bad: Target[..., None] = target(module["bad"])
    with pytest.raises(MagnetfileError) as caught:
        parse("", bad)
    assert caught.value.message == f"magnetfile.py:2: target `bad`: {message}"
    assert caught.value.hint == hint


# No argv holds a NUL.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    int: st.integers(),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    Path: TEXTS.map(Path),
    Color: st.sampled_from(Color),
    Literal["a", "b"]: st.sampled_from(["a", "b"]),
}


KINDS = inspect.Parameter


def word(value: Any) -> str:
    return value.name if isinstance(value, Color) else str(value)


def is_plain(value: Any) -> bool:
    return not word(value).startswith("-")


@st.composite
def spellings(draw: st.DrawFn, name: str, value: Any) -> list[str]:
    """The words that give an option this value."""
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}={word(value)}"] if draw(st.booleans()) else [f"--{name}", word(value)]


@dataclass(frozen=True)
class Line:
    """A target, words for it, and the key of the call that they are."""

    target: Target[..., Any]
    words: list[str]
    key: str


@st.composite
def lines(draw: st.DrawFn, name: str, *, takes_rest: bool = False) -> Line:
    """A target with any parameters, and a call of it in any of the ways to write it."""
    parameters: list[inspect.Parameter] = []
    values: list[Any] = []
    options: dict[str, list[list[str]]] = {}
    arguments: list[str] = []
    for number in range(draw(st.integers(0, 4))):
        own, dashed = f"the_{number}", f"the-{number}"
        type_ = draw(st.sampled_from(list(VALUES)))
        kind = draw(st.sampled_from(["argument", "option", "required", "repeated"]))
        if kind == "argument":
            values.append(draw(VALUES[type_].filter(is_plain)))
            parameters.append(inspect.Parameter(own, KINDS.POSITIONAL_OR_KEYWORD, annotation=type_))
            arguments.append(word(values[-1]))
        elif kind == "repeated" and type_ is not bool:
            values.append(tuple(draw(st.lists(VALUES[type_], max_size=3))))
            parameters.append(
                inspect.Parameter(
                    own, KINDS.KEYWORD_ONLY, default=(), annotation=types.GenericAlias(tuple, (type_, ...))
                )
            )
            options[own] = [draw(spellings(dashed, one)) for one in values[-1]]
        else:
            default = inspect.Parameter.empty if kind == "required" else draw(VALUES[type_])
            is_given = kind == "required" or draw(st.booleans())
            values.append(draw(VALUES[type_]) if is_given else default)
            parameters.append(inspect.Parameter(own, KINDS.KEYWORD_ONLY, default=default, annotation=type_))
            options[own] = [draw(spellings(dashed, values[-1]))] if is_given else []
    order = draw(st.permutations([*(own for own in options for _ in options[own]), *("" for _ in arguments)]))
    if takes_rest:
        # Options end at the first argument, and then a word may be anything.
        type_ = draw(st.sampled_from([str, int, Path]))
        more = draw(st.lists(VALUES[type_], max_size=3))
        values.append(tuple(more) if arguments or all(map(is_plain, more[:1])) else ())
        parameters.append(inspect.Parameter("more", KINDS.VAR_POSITIONAL, annotation=type_))
        arguments += map(word, values[-1])
        order = [*filter(None, order), *("" for _ in arguments)]
    # The words of one option keep their order, and so do the arguments.
    left = {"": iter([[one] for one in arguments])} | {own: iter(spelled) for own, spelled in options.items()}
    words = [one for own in order for one in next(left[own])]
    pairs = sorted(zip(parameters, values, strict=True), key=lambda pair: pair[0].kind)
    made = target_with(name, [parameter for parameter, _ in pairs])
    return Line(made, words, Call(made, tuple((parameter.name, value) for parameter, value in pairs)).key)


def target_with(name: str, parameters: list[inspect.Parameter]) -> Target[..., Any]:
    def function(t: T, *args: object, **kwargs: object) -> None: ...

    function.__name__ = name
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    function.__dict__["__signature__"] = inspect.Signature(
        [inspect.Parameter("t", KINDS.POSITIONAL_OR_KEYWORD), *parameters]
    )
    return target(function)


@given(st.tuples(lines("one"), lines("two"), lines("three", takes_rest=True)))
def test_the_words_that_say_a_call_are_that_call(said: tuple[Line, ...]) -> None:
    targets = {line.target.name: line.target for line in said}
    words = [one for line in said for one in (line.target.name, *line.words)]
    assert [call.key for call in parse_calls(words, targets.__getitem__)] == [line.key for line in said]


NEAR_WORDS = st.sampled_from(
    [one.name for one in TARGETS]
    + shlex.split("-- - --name --name= --name=a -n -n3 -lqn -l=0 -e --pull --rm=1 -m --memory= -=")
)


@given(st.lists(NEAR_WORDS | TEXTS, max_size=6))
def test_any_words_are_calls_or_a_usage_error(words: list[str]) -> None:
    with suppress(UsageError):
        assert len(parse_calls(words, find)) <= len(words)
