"""What is read without click is read as click reads it."""

from hypothesis import given
from hypothesis import strategies as st

from magnet import commandline
from magnet.errors import Finished, MagnetError
from magnet.settings import NAMES, OPTIONS, Settings, read_plain

values = st.sampled_from(["a", "3", "0", "-1", "+3", "3 ", "٣", "1_0", "", "tty", "plain", "-", "--", "podman", "-x"])
words = st.one_of(
    st.sampled_from([*NAMES, "--version", "--help", "-h", "-nk", "-j2", "-fx", "--dry", "--no-force", "build"]),
    st.builds("{}={}".format, st.sampled_from(NAMES), values),
    values,
)


@given(st.lists(words, max_size=6))
def test_plain_words_mean_what_click_says(words: list[str]) -> None:
    plain = read_plain(words)
    if plain is None:
        return
    try:
        found = commandline.read(words)
    except (MagnetError, Finished) as error:
        raise AssertionError(f"click does not take {words}") from error
    assert plain == found


def test_usual_words_are_plain() -> None:
    for option in OPTIONS:
        for name in option.names:
            value = [] if option.kind is None else ["plain" if isinstance(option.kind, tuple) else "3"]
            assert read_plain([name, *value, "build"]) == commandline.read([name, *value, "build"])
    assert read_plain([]) == Settings()
    assert read_plain(["build", "-t", "--help"]) == Settings(words=("build", "-t", "--help"))


def test_what_is_unusual_is_left_to_click() -> None:
    for words in (
        ["--help"],
        ["--version"],
        ["-nk"],
        ["-j0"],
        ["-j", "0"],
        ["--jobs"],
        ["--progress=x"],
        ["--"],
        ["-"],
    ):
        assert read_plain(words) is None, words
