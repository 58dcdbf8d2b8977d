"""What magnet reads out of a Dockerfile."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnet.dockerfile import Dockerfile, parse
from magnet.errors import MagnetfileError
from magnet.model import Platform
from magnet.reading import find

ARM = Platform("linux", "arm", "v7")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "Dockerfile"


def read(file: Path, text: str) -> Dockerfile:
    file.write_text(text)
    return parse(file)


def refused(file: Path, text: str) -> MagnetfileError:
    with pytest.raises(MagnetfileError) as caught:
        read(file, text)
    return caught.value


def sources(file: Path, *lines: str, base: str = "alpine", **build_args: str) -> tuple[str, ...] | None:
    """The sources of a Dockerfile of one stage with these lines."""
    return read(file, "\n".join([f"FROM {base}", *lines])).sources(None, build_args)


# Finding and parsing


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (["Dockerfile"], "Dockerfile"),
        (["Containerfile"], "Containerfile"),
        (["Containerfile", "Dockerfile"], "Dockerfile"),
        (["Containerfile", "Dockerfile/"], "Containerfile"),
    ],
)
def test_a_dockerfile_is_found_by_its_usual_names(tmp_path: Path, present: list[str], expected: str) -> None:
    for name in present:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    assert find(tmp_path) == tmp_path / expected


def test_a_directory_without_a_dockerfile_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MagnetfileError) as caught:
        find(tmp_path)
    assert caught.value.message == f"there is no Dockerfile or Containerfile in `{tmp_path}`"
    assert caught.value.hint == "name another file with `file=` in the magnetfile, or with `-f` on the command line"


def test_stages_have_names_bases_and_instructions(file: Path) -> None:
    parsed = read(file, "ARG V=1\nFROM golang:$V AS Build\nRUN make\n\nfrom scratch\nCOPY --from=build /a /\nCMD a\n")
    assert [
        (stage.index, stage.name, stage.base, stage.line, [instruction.name for instruction in stage.instructions])
        for stage in parsed.stages
    ] == [(0, "Build", "golang:$V", 2, ["RUN"]), (1, None, "scratch", 5, ["COPY", "CMD"])]
    assert [instruction.args for instruction in parsed.arguments] == [["V=1"]]


def test_a_byte_order_mark_windows_lines_and_odd_bytes_are_read(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf# syntax=docker/dockerfile:1\r\nFROM a\r\nCOPY \xff \\\r\n  b /\r\n")
    parsed = parse(file)
    assert (parsed.syntax, parsed.stages[0].base) == ("docker/dockerfile:1", "a")
    assert parsed.sources() == ("b", "\udcff")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FORM a\n", ", line 1: unknown instruction: FORM"),
        ("FROM a\n\nCOPPY b /\n", ", line 3: unknown instruction: COPPY"),
        ("FROM a\nRUN <<EOF\nx\n", ", line 2: unterminated heredoc"),
        ("# escape=x\nFROM a\n", ", line 1: invalid escape token 'x' does not match ` or \\"),
        ("FROM\n", ", line 1: FROM takes an image, or an image, AS and a name"),
        ("FROM a b\n", ", line 1: FROM takes an image, or an image, AS and a name"),
        ("FROM a IS b\n", ", line 1: FROM takes an image, or an image, AS and a name"),
        ("FROM a AS 1\n", ", line 1: `1` cannot be the name of a stage"),
        ("ARG A\nRUN b\nFROM a\n", ", line 2: RUN before the first FROM"),
        ("# nothing\n", ": there is no FROM in it"),
        ("ARG A=1\n", ": there is no FROM in it"),
    ],
)
def test_a_mistake_is_an_error_with_file_and_line(file: Path, text: str, message: str) -> None:
    assert refused(file, text).message == f"`{file}`{message}"


def test_a_dockerfile_that_cannot_be_read_is_one_clear_error(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "gone", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(MagnetfileError) as caught:
            parse(path)
        assert caught.value.message == f"cannot read `{path}`: {reason}"


# Stages

STAGES = "FROM a AS base\nFROM base AS Build\nFROM c\nFROM d AS last\n"


@pytest.mark.parametrize(
    ("name", "index"), [(None, 3), ("base", 0), ("build", 1), ("BUILD", 1), ("0", 0), ("2", 2), ("last", 3)]
)
def test_a_stage_is_found_by_name_in_any_case_or_number(file: Path, name: str | None, index: int) -> None:
    assert read(file, STAGES).stage(name).index == index


def test_of_two_stages_of_one_name_the_later_counts(file: Path) -> None:
    assert read(file, "FROM a AS x\nFROM b AS X\n").stage("x").base == "b"


@pytest.mark.parametrize(("name", "hint"), [("biuld", "did you mean `Build`?"), ("4", None), ("-1", None), ("", None)])
def test_an_unknown_stage_is_an_error_that_lists_the_stages(file: Path, name: str, hint: str | None) -> None:
    with pytest.raises(MagnetfileError) as caught:
        read(file, STAGES).stage(name)
    error = caught.value
    assert error.message == f"`{file}` has no stage `{name}`"
    assert error.detail == ("its stages are: base, Build, 2, last",)
    assert error.hint == hint


@pytest.mark.parametrize(
    ("name", "target"), [(None, "last"), ("0", "base"), ("build", "Build"), ("1", "Build"), ("2", "2"), ("3", "last")]
)
def test_a_target_is_a_stages_name_where_it_has_one(file: Path, name: str | None, target: str) -> None:
    assert read(file, STAGES).target(name) == target


def test_the_last_stage_needs_no_target_where_it_has_no_name(file: Path) -> None:
    parsed = read(file, "FROM a AS x\nFROM b\n")
    assert (parsed.target(), parsed.target("1")) == (None, None)


# Needed stages


def needed(parsed: Dockerfile, stage: str | None = None, **build_args: str) -> list[str]:
    return [str(stage) for stage in parsed.needed(stage, build_args)]


def test_a_stage_needs_what_it_starts_from_copies_from_and_mounts(file: Path) -> None:
    parsed = read(
        file,
        """\
        FROM a AS base
        FROM b AS unused
        FROM c AS tools
        FROM d
        FROM e AS assets
        FROM BASE AS build
        COPY --chown=1 --from=3 /x /
        RUN --mount=type=bind,from=Tools,target=/t --mount=type=cache,target=/c make
        FROM scratch AS final
        COPY --from=build /y /
        RUN --network=none --mount=from=assets,target=/a true
        """,
    )
    assert needed(parsed) == ["base", "tools", "3", "assets", "build", "final"]
    assert needed(parsed, "build") == ["base", "tools", "3", "build"]
    assert needed(parsed, "unused") == ["unused"]


def test_only_a_stage_that_is_there_already_can_be_started_from(file: Path) -> None:
    parsed = read(file, "FROM later AS first\nFROM alpine AS later\nFROM first\n")
    assert (needed(parsed), parsed.bases()) == (["first", "2"], ("later",))


def test_a_number_after_from_is_the_name_of_an_image(file: Path) -> None:
    parsed = read(file, "FROM a\nFROM 0\n")
    assert (needed(parsed), parsed.bases()) == (["1"], ("0",))


def test_a_base_can_be_a_stage_whose_name_is_a_build_arg(file: Path) -> None:
    parsed = read(file, "ARG KIND=small\nFROM a AS small\nFROM b AS big\nFROM ${KIND}\n")
    assert (needed(parsed), parsed.bases()) == (["small", "2"], ("a",))
    assert (needed(parsed, KIND="big"), parsed.bases(None, {"KIND": "big"})) == (["big", "2"], ("b",))


def test_stages_that_need_each_other_do_not_hang(file: Path) -> None:
    assert needed(read(file, "FROM a AS x\nCOPY --from=y / /\nFROM b AS y\nCOPY --from=x / /\n")) == ["x", "y"]


def test_an_onbuild_takes_effect_in_the_stage_that_starts_from_its_stage(file: Path) -> None:
    parsed = read(
        file,
        "FROM a AS base\nONBUILD COPY --from=tools /t /\nONBUILD  COPY src /src\nFROM t AS tools\nFROM base\nFROM 2\n",
    )
    assert (needed(parsed, "base"), parsed.sources("base")) == (["base"], ())
    assert (needed(parsed, "2"), parsed.sources("2")) == (["base", "tools", "2"], ("src",))


def test_an_onbuild_that_is_none_is_an_error_with_file_and_line(file: Path) -> None:
    parsed = read(file, "FROM a AS x\nONBUILD COPPY a /\nFROM x\n")
    with pytest.raises(MagnetfileError) as caught:
        parsed.sources()
    assert caught.value.message == f"`{file}`, line 2: unknown instruction: COPPY"


# Base images


def test_bases_are_the_images_from_outside_each_once_and_in_order(file: Path) -> None:
    parsed = read(
        file,
        """\
        FROM golang AS build
        FROM unused
        FROM scratch AS nothing
        FROM build
        COPY --from=alpine:3 /x /
        RUN --mount=type=bind,from=docker.io/library/busybox,target=/b true
        COPY --from=golang /x /
        COPY --from=nothing / /
        """,
    )
    assert parsed.bases() == ("golang", "alpine:3", "docker.io/library/busybox")
    assert parsed.bases("nothing") == ()


@pytest.mark.parametrize(
    ("lines", "base", "build_args", "expected"),
    [
        ("ARG V=1", "a:$V", {}, "a:1"),
        ("ARG V=1", "a:$V", {"V": "2"}, "a:2"),
        ("", "a:${V:-3}", {"V": "2"}, "a:3"),
        ("ARG V", "a:${V:-3}", {}, "a:3"),
        ("ARG V", "a:${V:-3}", {"V": ""}, "a:3"),
        ("ARG V", "a:${V:-3}", {"V": "2"}, "a:2"),
        ("ARG V=", "a${V:+:$V}", {}, "a"),
        ("ARG V=9", "a${V:+:$V}", {}, "a:9"),
        ("ARG V='1'\nARG W=\"$V.2\"", "a:${W}", {}, "a:1.2"),
        ("ARG V=1\nARG W='$V'", "a:$W", {}, "a:$V"),
        ("ARG V=1 W=2\nARG V=3", "a:$V.$W", {}, "a:3.2"),
        ("ARG V=1", "a:\\$V", {}, "a:$V"),
        ("ARG V=1", "'a:$V'", {}, "a:$V"),
        ("ARG V=1", '"a:$V"', {}, "a:1"),
        ("ARG V=v1.2.3", "a:${V#v}", {}, "a:1.2.3"),
        ("ARG V=1.2.3", "a:${V%.*}", {}, "a:1.2"),
        ("ARG V=1.2.3", "a:${V//./_}", {}, "a:1_2_3"),
        ("# escape=`\nARG V=1", "a:`$V", {}, "a:$V"),
        ("", "a:$TARGETARCH$TARGETVARIANT-${TARGETOS}", {}, "a:armv7-linux"),
        ("", "--platform=$BUILDPLATFORM $TARGETPLATFORM", {}, "linux/arm/v7"),
        ("ARG TARGETARCH", "a:$TARGETARCH", {}, "a:arm"),
        ("", "a:$TARGETARCH", {"TARGETARCH": "mine"}, "a:mine"),
    ],
)
def test_the_name_of_a_base_is_expanded_by_buildkits_rules(
    file: Path, lines: str, base: str, build_args: dict[str, str], expected: str
) -> None:
    assert read(file, f"{lines}\nFROM {base}\n").bases(None, build_args, ARM) == (expected,)


def test_the_platform_is_this_machines_unless_one_is_given(file: Path) -> None:
    parsed = read(file, "FROM $TARGETPLATFORM/$BUILDPLATFORM\n")
    (own,) = parsed.bases()
    target, build = own[: len(own) // 2], own[len(own) // 2 + 1 :]
    assert target == build
    assert parsed.bases(None, {}, ARM) == (f"linux/arm/v7/{build}",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM $V\n", "line 1: the image `$V` has an empty name"),
        ("ARG V\nFROM ${V}\n", "line 2: the image `${V}` has an empty name"),
        ("FROM ${V\n", "line 1: failed to process '${V': syntax error: missing '}'"),
        ("FROM a:${V:?give one}\n", "line 1: failed to process 'a:${V:?give one}': V: give one"),
    ],
)
def test_a_base_that_cannot_be_expanded_is_an_error_with_file_and_line(file: Path, text: str, message: str) -> None:
    parsed = read(file, text.replace("give one", "give-one"))
    with pytest.raises(MagnetfileError) as caught:
        parsed.bases()
    assert caught.value.message == f"`{file}`, {message}".replace("give one", "give-one")


def test_a_stage_that_is_not_needed_may_have_no_image(file: Path) -> None:
    assert read(file, "FROM $V AS x\nFROM a\n").bases() == ("a",)


# Sources


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("COPY a b/c.txt /x/", ("a", "b/c.txt")),
        ("COPY . /x", (".",)),
        ("COPY / /x", (".",)),
        ("COPY ./a/ /x", ("a",)),
        ("COPY /a//b/../c /x", ("a/c",)),
        ("COPY ../a /x", ("a",)),
        ('COPY ["a b", "c", "/x"]', ("a b", "c")),
        ("COPY \"a\" 'b' /x", ("a", "b")),
        ("COPY a\\ b /x", ("a", "b")),
        ("COPY *.txt /x", ("*.txt",)),
        ("COPY src/*.py /x", ("src/*.py",)),
        ("COPY src/a?/b /x", ("src/a?/b",)),
        ("COPY src/v[12]/b /x", ("src/v[12]/b",)),
        ("COPY a/b/*/c/* /x", ("a/b/*/c/*",)),
        ("COPY a/**/c** /x", ("a/*/c*",)),
        ("COPY !a #b/*.c /x", ("\\!a", "\\#b/*.c")),
        ("COPY a[/b /x", (".",)),
        (r'COPY ["a\\\\*", "b\\\\[/*", "/x"]', ("a\\*", "a\\\\\\*", "b\\[/*", "b\\\\\\[/*")),
        ("COPY --chown=1:1 --link --chmod=644 a /x", ("a",)),
        ("COPY --from=other a /x", ()),
        ("COPY --from= a /x", ("a",)),
        ("COPY --parents ./a/./b /x", ("a/b",)),
        ("COPY a \\\n  b \\\n # comment\n  /x", ("a", "b")),
        ("ADD a.tar.gz /x", ("a.tar.gz",)),
        ("ADD https://example.com/a http://example.com/b c /x", ("c",)),
        ("ADD git@github.com:o/r.git git://example.com/r.git#v1 ssh://git@host/r /x", ()),
        ("COPY https://example.com/a /x", ("https:/example.com/a",)),
        ("COPY <<EOF /x\nCOPY inside /\nEOF\nCOPY a /x", ("a",)),
        ("COPY a <<EOF <<-'B C' /x\none\nEOF\ntwo\n\tB C\nADD b /", ("a", "b")),
        ("RUN --mount=type=bind,source=a,target=/a make", ("a",)),
        ("RUN --mount=target=/src make", (".",)),
        ("RUN --mount=src=a/,dst=/a --mount=type=bind,Source=/b,dst=/b,rw make", ("a", "b")),
        ("RUN --mount=type=bind,from=other,source=a,target=/a make", ()),
        ("RUN --mount=type=bind,from=,source=a,target=/a make", ("a",)),
        ("RUN --mount=type=cache,source=a,target=/a --mount=type=secret,id=b make", ()),
        ("RUN cp a /x", ()),
    ],
)
def test_sources_are_the_paths_that_copy_add_and_bind_mounts_name(
    file: Path, line: str, expected: tuple[str, ...]
) -> None:
    assert sources(file, line) == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["ARG A=x", "COPY $A/y /"], ("x/y",)),
        (["COPY $A/y /", "ARG A=x"], None),
        (["ENV A=x B=$A", "COPY $A /"], ("x",)),
        (["ENV A=x", "ENV A=y B=$A", "COPY $A $B /"], ("x", "y")),
        (["ENV A one two", "COPY $A /"], ("one two",)),
        (["ENV A=x", "ARG A=y", "COPY $A /"], None),
        (["ARG A=y", "ENV A=x", "COPY $A /"], ("x",)),
        (["ARG A=y", "ENV A=$A/z", "COPY $A /"], ("y/z",)),
        (["ENV A=$UNKNOWN", "COPY $A /"], None),
        (["ENV A=$UNKNOWN", "ENV A=x", "COPY $A /"], ("x",)),
        (["ARG A=$UNKNOWN", "COPY $A /"], None),
        (["ARG A=x", "ARG A=y B=$A/z", "COPY $A $B /"], ("x/z", "y")),
        (["ARG A=x", "ARG A", "COPY $A /"], ("x",)),
        (["COPY ${UNKNOWN:-x} /"], None),
        (["COPY ${UNKNOWN:?} /"], None),
        (["COPY '$UNKNOWN' /"], ("$UNKNOWN",)),
        (["RUN --mount=source=$UNKNOWN,target=/x true"], None),
        (["RUN --mount=type=$UNKNOWN,source=a,target=/x true"], None),
        (["ARG K=cache", "RUN --mount=type=$K,source=a,target=/x true"], ()),
        (["ARG GIVEN", "COPY $GIVEN /"], ("given",)),
        (["ARG GIVEN=default", "COPY $GIVEN /"], ("given",)),
        (["COPY $GIVEN /"], None),
        (["ARG A", "COPY x$A /"], None),
        (["ADD $UNKNOWN /"], None),
        (["ARG U=https://example.com", "ADD $U/x /"], ()),
        (["ARG TARGETARCH", "COPY bin/$TARGETARCH /"], ("bin/arm",)),
    ],
)
def test_variables_in_sources_are_expanded_in_the_order_of_the_dockerfile(
    file: Path, lines: list[str], expected: tuple[str, ...] | None
) -> None:
    assert read(file, "\n".join(["FROM alpine", *lines])).sources(None, {"GIVEN": "given"}, ARM) == expected


def test_no_variable_comes_from_a_base_image_where_there_is_none(file: Path) -> None:
    assert sources(file, "COPY a$UNKNOWN ${UNKNOWN:-x} /", base="scratch") == ("a", "x")
    assert sources(file, "ENV A=x", "ARG A=y", "COPY $A /", base="scratch") is None


def test_an_argument_from_before_the_first_from_counts_where_a_stage_asks_for_it(file: Path) -> None:
    text = "ARG A=global\nFROM a\nCOPY $A /\n"
    assert read(file, text).sources() is None
    assert read(file, text.replace("COPY", "ARG A\nCOPY")).sources() == ("global",)
    assert read(file, text.replace("COPY", "ARG A=own\nCOPY")).sources() == ("own",)
    assert read(file, text.replace("COPY", "ARG A\nCOPY")).sources(None, {"A": "given"}) == ("given",)


def test_variables_are_those_of_the_stage_and_of_the_stages_it_starts_from(file: Path) -> None:
    parsed = read(
        file,
        """\
        FROM a AS base
        ARG A=x
        ENV B=y
        FROM base AS middle
        ENV A=z
        FROM middle AS child
        COPY $A $B /
        FROM a AS stranger
        COPY $A /
        """,
    )
    assert (parsed.sources("child"), parsed.sources("stranger")) == (("y", "z"), None)


def test_sources_are_those_of_all_needed_stages_and_no_others(file: Path) -> None:
    parsed = read(
        file,
        "FROM a AS build\nCOPY src go.mod /\nFROM b AS docs\nCOPY $UNKNOWN docs /\n"
        "FROM build AS test\nCOPY tests /\nFROM scratch\nCOPY --from=build /x /\nCOPY etc /etc\n",
    )
    assert parsed.sources() == ("etc", "go.mod", "src")
    assert parsed.sources("test") == ("go.mod", "src", "tests")
    assert parsed.sources("docs") is None


@pytest.mark.parametrize(
    ("syntax", "expected"),
    [
        ("docker/dockerfile", ("a",)),
        ("docker/dockerfile:1.7-labs", ("a",)),
        ("docker.io/docker/dockerfile:1@sha256:00", ("a",)),
        ("docker/dockerfile-upstream:master", None),
        ("example.com/my/syntax", None),
    ],
)
def test_what_another_syntax_copies_cannot_be_known(file: Path, syntax: str, expected: tuple[str, ...] | None) -> None:
    assert read(file, f"# escape=`\n#  Syntax = {syntax} \nFROM x\nCOPY a /\n").sources() == expected


def test_a_comment_is_no_syntax(file: Path) -> None:
    assert read(file, "# hello\n# syntax=example.com/x\nFROM x\n").syntax is None


def test_a_blank_in_quotes_ends_a_source_all_the_same_so_that_engines_refuse_it(file: Path) -> None:
    with pytest.raises(MagnetfileError) as caught:
        sources(file, 'COPY "a b" /x')
    assert caught.value.message.startswith(f"`{file}`, line 2: failed to process '\"a': unexpected end of statement")


def test_the_arguments_of_a_stage_are_not_known_in_one_that_starts_from_it(file: Path) -> None:
    stage = "FROM scratch AS a\nARG A=x B=y\nENV B=$B C=$A\nFROM a\n"
    assert read(file, f"{stage}COPY $A /\n").sources() is None
    assert read(file, f"{stage}COPY $B $C /\n").sources() == ("x", "y")
    assert read(file, f"{stage}ARG A=z\nCOPY $A /\n").sources() == ("z",)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["COPY --exclude=*.md --exclude=x . /"], {".": ["*.md", "x"]}),
        (["COPY --exclude=*.md --exclude=x a b /", "COPY --exclude=x a /"], {"a": ["x"], "b": ["*.md", "x"]}),
        (["COPY --exclude=x a /", "COPY a /"], {}),
        (["COPY --exclude=x a /", "RUN --mount=source=a,target=/a true"], {}),
        (["COPY --exclude=$X a /"], {}),
        (["COPY --exclude=x --exclude=!x/y a /"], {}),
        (["COPY --exclude=[ a /"], {}),
        (["ADD --exclude=x a /"], {"a": ["x"]}),
    ],
)
def test_what_all_copies_of_a_source_exclude_is_known(
    file: Path, lines: list[str], expected: dict[str, list[str]]
) -> None:
    assert read(file, "\n".join(["FROM a", *lines])).excludes() == expected


def test_with_parents_two_stars_are_any_number_of_directories_and_directories_are_copied(file: Path) -> None:
    parsed = read(file, "FROM a AS x\nCOPY --parents a/**/*.c /x\nFROM a\nCOPY **/*.c /x\n")
    assert (parsed.sources("x"), parsed.keeps_parents("x")) == (("a/**/*.c",), True)
    assert (parsed.sources(), parsed.keeps_parents()) == (("*/*.c",), False)


def test_a_word_in_a_source_that_cannot_be_expanded_is_an_error_with_file_and_line(file: Path) -> None:
    with pytest.raises(MagnetfileError) as caught:
        sources(file, "COPY ${A /")
    assert caught.value.message == f"`{file}`, line 2: failed to process '${{A': syntax error: missing '}}'"


LINES = r"""
FROM a
FROM a AS b
FROM $X
ARG
ARG X
ARG X=$Y
ENV
ENV X
ENV X 1
ENV X=$X$Y
COPY
COPY a /
COPY [
COPY [] /
COPY $X /
COPY --from=b / /
COPY --from= / /
COPY <<E /
E
ADD
RUN
RUN --mount
RUN --mount=,=,from
ONBUILD
ONBUILD x
ONBUILD COPY $X /
'
"
$
${
\
#
""".splitlines()


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(LINES) | st.text(max_size=8), max_size=8), st.sampled_from([None, "b", "0"]))
def test_no_dockerfile_ends_in_a_traceback(lines: list[str], stage: str | None) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "Dockerfile"
        path.write_text("\n".join(lines), "utf-8")
        try:
            parsed = parse(path)
            parsed.needed(stage)
            parsed.bases(stage)
            parsed.sources(stage)
        except MagnetfileError as error:
            assert error.message  # noqa: PT017 - parsing may also succeed
