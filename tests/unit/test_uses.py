"""What of Dockerfile's language a Dockerfile uses."""

from pathlib import Path

import pytest

from magnet.dockerfile import parse_text
from magnet.errors import MagnetfileError


def used(text: str, stage: str | None = None, **build_args: str) -> list[tuple[str, str, int]]:
    """The features that a Dockerfile uses, the words for each, and its line."""
    found = parse_text(Path("Dockerfile"), text).uses(stage, build_args)
    return [(use.feature, use.words, use.line) for use in found]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("RUN <<EOF\ntrue\nEOF", [("heredoc", "RUN <<EOF", 2)]),
        ("COPY <<a <<b /d/\nx\na\ny\nb", [("heredoc", "COPY <<a", 2)]),
        ("RUN --mount=type=cache,target=/c true", [("run-mount", "RUN --mount=type=cache", 2)]),
        ("RUN --mount=target=/c true", [("run-mount", "RUN --mount=type=bind", 2)]),
        (
            "RUN --network=none true",
            [("run-network", "RUN --network=none", 2), ("network", "RUN --network=none", 2)],
        ),
        ("RUN --network=host true", [("run-network", "RUN --network=host", 2)]),
        ("RUN --security=insecure true", [("run-security", "RUN --security=insecure", 2)]),
        ("COPY --link a /", [("copy-link", "COPY --link", 2)]),
        ("COPY --link=false a /", []),
        ("ADD --link --chown=1 a /", [("copy-link", "ADD --link", 2)]),
        ("COPY --parents a /", [("copy-parents", "COPY --parents", 2)]),
        ("COPY --exclude=*.o --exclude=b . /", [("copy-exclude", "COPY --exclude", 2)]),
        ("COPY --exclude=**/b --exclude=!**/c a /", [("copy-exclude", "COPY --exclude", 2)]),
        ("COPY --exclude=b / a /d/", [
            ("copy-exclude", "COPY --exclude", 2), ("exclude-below", "COPY --exclude=b", 2)]),
        ("COPY --chmod=755 a /", [("copy-chmod", "COPY --chmod", 2)]),
        (
            "COPY --chmod=1755 a /",
            [("copy-chmod", "COPY --chmod", 2), ("chmod-special", "COPY --chmod=1755", 2)],
        ),
        (
            "COPY --chmod=u+x,go= a /",
            [("copy-chmod", "COPY --chmod", 2), ("chmod-symbolic", "COPY --chmod=u+x,go=", 2)],
        ),
        ("ARG M\nADD --chmod=$M a /", [("copy-chmod", "ADD --chmod", 3), ("chmod-variable", "ADD --chmod=$M", 3)]),
        ("ADD --checksum=sha256:ab https://h/x /", [("add-checksum", "ADD --checksum", 2)]),
        ("ADD --keep-git-dir=true https://h/x.git#v1 /", [
            ("add-git", "ADD --keep-git-dir", 2), ("add-git", "ADD https://h/x.git#v1", 2)]),
        ("ADD git@h:x/y /", [("add-git", "ADD git@h:x/y", 2)]),
        ("ADD https://h/x.tar /", []),
        ("ADD --unpack https://h/x.tar /", [("add-unpack", "ADD --unpack", 2)]),
        ("HEALTHCHECK --start-interval=1s CMD true", [("health-start-interval", "HEALTHCHECK --start-interval", 2)]),
        ("HEALTHCHECK --interval=1s CMD true", []),
        ("ENV A=${X:-d} B=${X:+d} C=${X}", []),
        ("ENV A=${X-d}", [("expansion-unset", "${X-...}", 2)]),
        ("LABEL a=${X##*/}", [("expansion-pattern", "${X#...}", 2)]),
        ("WORKDIR /${X/a/b}", [("expansion-pattern", "${X/...}", 2)]),
        ("ENV X=1\nUSER ${X:?no}", [("expansion-required", "${X:?...}", 3)]),
        ("RUN echo ${X#a} ${X:?b}", []),
        ("CMD [\"${X#a}\"]", []),
        ("ONBUILD COPY --link a /", [("copy-link", "COPY --link", 2)]),
        ("VOLUME /v\nONBUILD RUN true\nFROM a AS b\nFROM b", []),
        ("VOLUME /v\nCOPY a /v\nRUN true", [("volume-writes", "RUN after VOLUME", 4)]),
        ("RUN true\nVOLUME /v", []),
        ("USER 7\nWORKDIR /w", [("workdir-owner", "WORKDIR after USER", 3)]),
        ("USER 7\nUSER root:x\nWORKDIR /w", []),
    ],
)  # fmt: skip
def test_every_use_has_its_words_and_its_line(line: str, expected: list[tuple[str, str, int]]) -> None:
    assert used(f"FROM a\n{line}\n") == expected


def test_what_a_stage_that_is_not_needed_uses_does_not_count() -> None:
    text = "FROM a AS one\nCOPY --link x /\nFROM b AS two\nRUN --mount=type=ssh true\nFROM two\n"
    assert used(text) == [("run-mount", "RUN --mount=type=ssh", 4)]
    assert used(text, "one") == [("copy-link", "COPY --link", 2)]


def test_volumes_and_the_user_are_those_of_the_stages_below_as_well() -> None:
    text = "FROM a AS one\nVOLUME /v\nUSER 7\nFROM one AS two\nWORKDIR /w\nFROM two\nRUN true\n"
    assert used(text) == [("workdir-owner", "WORKDIR after USER", 5), ("volume-writes", "RUN after VOLUME", 7)]


def test_what_an_onbuild_does_in_the_next_stage_stands_where_the_onbuild_does() -> None:
    assert used("FROM a AS one\n\nVOLUME /v\nONBUILD RUN true\nFROM one\n") == [
        ("volume-writes", "RUN after VOLUME", 4)
    ]


def test_what_stands_in_a_from_or_before_it_counts() -> None:
    assert used("ARG A=b\nARG B=${A%b}\nFROM --platform=$BUILDPLATFORM ${A-c}\n") == [
        ("expansion-pattern", "${A%...}", 2),
        ("from-platform", "FROM --platform=$BUILDPLATFORM", 3),
        ("expansion-unset", "${A-...}", 3),
    ]


def test_of_a_foreign_grammar_nothing_is_known() -> None:
    assert used("# syntax=example.org/mine\nFROM a\nCOPY --link a /\n") == [
        ("foreign-syntax", "# syntax=example.org/mine", 1)
    ]


def test_a_variable_that_must_have_a_value_and_has_none_is_an_error_in_every_instruction() -> None:
    for line in ("WORKDIR ${X:?why}", "LABEL a=${X:?why}", "USER ${X:?why}", "VOLUME ${X:?why}"):
        with pytest.raises(MagnetfileError) as caught:
            used(f"FROM scratch\nARG X\n{line}\n")
        assert caught.value.message == "`Dockerfile`, line 3: failed to process '${X:?why}': X: why"
        assert used(f"FROM scratch\nARG X\n{line}\n", X="1")[0] == ("expansion-required", "${X:?...}", 3)
