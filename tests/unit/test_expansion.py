"""Variables in the words of a command."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from magnet.errors import MagnetfileError
from magnet.expansion import expand

VARIABLES = {"A": "one", "_B2": "", "PRICE": "$A ${A} $$A", "LÄNGE": "not a name"}

# What is written, and what the program sees; each means the same whatever comes before and after it.
PIECES = st.sampled_from(
    [
        *((f"${{{name}}}", VARIABLES[name]) for name in ("A", "_B2", "PRICE")),
        ("$A.", "one."),
        ("$_B2/", "/"),
        ("$$A ", "$A "),
        ("$$NEVER_SET ", "$NEVER_SET "),
        ("$${A}", "${A}"),
        ("$${A:-b}", "${A:-b}"),
        ("$$(pwd)", "$(pwd)"),
        ("$$$A.", "$$one."),  # a shell's process id, and a value
        *((kept, kept) for kept in ("$$ ", "$$.", "$1", "$? ", "$@ ", "$(pwd)", "${A:-b}", "${", "$Ä", "$ ", "x", "é\n", "\udcff")),
    ]
)  # fmt: skip


@given(st.lists(st.lists(PIECES, max_size=6), max_size=3))
@example([[("$$ ", "$$ "), ("$$A ", "$A ")]])
def test_names_become_values_and_all_else_is_left_to_the_program(words: list[list[tuple[str, str]]]) -> None:
    written = ["".join(piece[0] for piece in word) for word in words]
    assert expand(written, VARIABLES) == tuple("".join(piece[1] for piece in word) for word in words)


@given(st.lists(st.text().filter(lambda text: "$" not in text)))
def test_words_without_variables_are_what_they_are(words: list[str]) -> None:
    assert expand(words, {}) == tuple(words)


@pytest.mark.parametrize("word", ["$", "a$", "$$", "$$$$", "echo $$", "kill -9 $$; echo /tmp/x.$$"])
def test_the_process_id_of_a_shell_can_be_written_as_ever(word: str) -> None:
    assert expand([word], VARIABLES) == (word,)


def test_a_path_is_taken_as_it_is() -> None:
    assert expand([Path("$A/${A}/$NEVER_SET"), "$A"], VARIABLES) == ("$A/${A}/$NEVER_SET", "one")


SECRETS = st.lists(st.text("$A{}(x", min_size=1, max_size=6), min_size=1, max_size=3)


@given(SECRETS)
def test_a_secret_in_a_word_stays_what_it_is(secrets: list[str]) -> None:
    for secret in secrets:
        assert expand([f"-p {secret}"], VARIABLES, secrets) == (f"-p {secret}",)


@pytest.mark.parametrize(
    ("words", "message", "first"),
    [
        (["cp", "$FROM"], "the variable `$FROM` is not set", "FROM"),
        (["for f in *; do cc ${f} -o $out/$f; done"], "the variables `$f`, `$out` are not set", "f"),
    ],
)
def test_what_is_not_set_is_an_error_that_says_how_to_leave_it_to_a_shell(
    words: list[str], message: str, first: str
) -> None:
    with pytest.raises(MagnetfileError) as caught:
        expand(words, VARIABLES)
    assert caught.value.message == message
    assert caught.value.hint == (
        f'give a value, as in env={{"{first}": ...}}, or write `$${first}` to leave it to the program'
    )
