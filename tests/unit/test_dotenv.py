"""What a `.env` file may hold, and what its values are."""

from contextlib import suppress
from io import StringIO

import dotenv as oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnet import dotenv
from magnet.errors import MagnetfileError


def parse(text: str, **environ: str) -> dict[str, str]:
    return dotenv.parse(text, ".env", environ)


def error_of(text: str, **environ: str) -> str:
    with pytest.raises(MagnetfileError) as caught:
        parse(text, **environ)
    assert caught.value.hint
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("\n \n# a comment\n\t# another", {}),
        ("A=1", {"A": "1"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("A='one\r\ntwo'\r\n", {"A": "one\ntwo"}),
        ("  A = 1 \n\n", {"A": "1"}),
        ("export A=1\nexport\tB=2", {"A": "1", "B": "2"}),
        ("exported=1", {"exported": "1"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=\nB=''\nC=\"\"", {"A": "", "B": "", "C": ""}),
        ("A=some text # a comment", {"A": "some text"}),
        ("A=b#c\nB=#c\nC= # a comment", {"A": "b#c", "B": "#c", "C": ""}),
        ("A='b # c' # a comment\nB=\"b # c\"# a comment", {"A": "b # c", "B": "b # c"}),
        ("A=b'c'\nB=b=c", {"A": "b'c'", "B": "b=c"}),
        ("A='one\ntwo'\nB=\"one\ntwo\"\nC=3", {"A": "one\ntwo", "B": "one\ntwo", "C": "3"}),
        (r"A='it\'s \n'", {"A": r"it's \n"}),
        (r'A="\"a\"\tb\nc\\n\q\$X"', {"A": '"a"\tb\nc\\n\\q$X'}),
        (r"A=a\nb", {"A": r"a\nb"}),
        ("spring.name=1\ndash-ed=2", {"spring.name": "1", "dash-ed": "2"}),
    ],
)
def test_values_are_those_that_docker_compose_reads(text: str, values: dict[str, str]) -> None:
    assert parse(text) == values


@pytest.mark.parametrize(
    ("value", "is_"),
    [
        ("$SET", "yes"),
        ("a${SET}b", "ayesb"),
        ('"${SET} $SET"', "yes yes"),
        ("'$SET'", "$SET"),
        ("${SET:-other}${SET-other}", "yesyes"),
        ("${UNSET:-other one}", "other one"),
        ("${UNSET-other}", "other"),
        ("${EMPTY:-other}${EMPTY-no}${EMPTY}", "other"),
        ("${SET:+other}${EMPTY:+no}${EMPTY+this}${UNSET+no}", "otherthis"),
        ("${SET:?why}${EMPTY?why}", "yes"),
        ("$$SET", "$SET"),
        ("5$ $1 $", "5$ $1 $"),
    ],
)
def test_references_are_replaced_but_in_single_quotes(value: str, is_: str) -> None:
    assert parse(f"A={value}", SET="yes", EMPTY="") == {"A": is_}


def test_a_reference_is_to_the_environment_else_to_what_stands_before() -> None:
    assert parse("A=1\nB=2\nC=$A$B", A="environment") == {"A": "1", "B": "2", "C": "environment2"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\n\nsecret words", ".env:3: this is no NAME=VALUE"),
        ("secret", ".env:1: this is no NAME=VALUE"),
        ("# x\nA: secret", ".env:2: this is no NAME=VALUE"),
        ("1A=secret", ".env:1: this is no NAME=VALUE"),
        (
            "A='b\nc'\nA='secret",
            ".env:3: the value begins with a quote that is not closed, or something follows the closing one",
        ),
        (
            'A="b" secret',
            ".env:1: the value begins with a quote that is not closed, or something follows the closing one",
        ),
        ("A=1\nB=secret$X", ".env:2: `X` is not set"),
        ("A=${EMPTY:?give it one}secret", ".env:1: `EMPTY` is empty: give it one"),
        ("A=${X?}secret", ".env:1: `X` is not set"),
        ("A=${secret", ".env:1: a reference that begins with `${` is not understood"),
        ("A=${A:-${secret}}", ".env:1: a reference that begins with `${` is not understood"),
        ("A=${A/secret/b}", ".env:1: a reference that begins with `${` is not understood"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_without_what_stands_there(text: str, message: str) -> None:
    assert error_of(text, EMPTY="") == message


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True)
VALUES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=20)


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.booleans())
def test_any_value_can_be_written_between_quotes(values: dict[str, str], single: bool) -> None:
    def quoted(value: str) -> str:
        if single and "\\" not in value:
            return "'" + value.replace("'", "\\'") + "'"
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
        return f'"{escaped}"'

    assert parse("\n".join(f"{name}={quoted(value)}" for name, value in values.items())) == values


PIECES = st.sampled_from(
    ["A", "B=", " = ", "=", "'", '"', "#", " #", " ", "\t", "\n", "\r\n", "export A=", "x", "\\n", "\\", ";"]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join))
def test_what_is_read_without_references_is_what_python_dotenv_reads(text: str) -> None:
    try:
        values = parse(text)
    except MagnetfileError:
        return  # python-dotenv goes on after a line that it does not understand
    if "\\" in text.replace("\\n", "") or ("\\n" in text and "'" in text):
        return  # it takes two backslashes in single quotes for one, and `\'` where the quote ends
    assert values == oracle.dotenv_values(stream=StringIO(text.replace("\r\n", "\n")), interpolate=False)


@given(st.text(st.sampled_from("AB=$${}:-+?'\"\\ #\n\t"), max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(MagnetfileError):
        assert all(name in ("A", "B", "AB", "BA") or len(name) > 2 for name in parse(text, B="1"))
