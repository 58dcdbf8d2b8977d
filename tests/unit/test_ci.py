"""What services that run builds are told, and what they are not."""

import io
import re

import pytest

from magnet import failures
from magnet.errors import BuildFailed, MagnetError
from magnet.events import Range, SolveStatus, Vertex, VertexWarning
from magnet.progress.ci import GitHub, GitLab, Service, detect
from magnet.progress.plain import Plain
from magnet.progress.quiet import Quiet
from tests.unit.script import START, at, begin, end, log


def test_a_service_tells_by_its_variable_that_it_runs_this() -> None:
    clock = lambda: 0  # noqa: E731
    assert detect({}, clock) is None
    assert detect({"GITHUB_ACTIONS": "false", "GITLAB_CI": ""}, clock) is None
    assert isinstance(detect({"GITHUB_ACTIONS": "true"}, clock), GitHub)
    assert isinstance(detect({"GITLAB_CI": "true"}, clock), GitLab)


EVENTS = (
    begin("a", "app"),
    begin("b", "lib: 100%"),
    log("a", b"::error::gotcha\n", 1),
    log("b", b"fine\n", 1),
    end("a", "app", 0, 2, error="no"),
    end("b", "lib: 100%", 0, 2),
)


def shown(service: Service, *events: SolveStatus, interleave: bool = False) -> str:
    out = io.StringIO()
    display = Plain(out, lambda: at(9), interleave=interleave, ci=service)
    for status in events:
        display.update(status)
    display.done()
    return out.getvalue()


SUMMARY = f"[+] Building 2.0s (2/2) FINISHED\n => ERROR app{'2.0s':>67}\n => lib: 100%{'2.0s':>67}\n"


def test_github_folds_targets_and_takes_nothing_for_a_command_that_a_build_prints() -> None:
    text = re.sub(r"[0-9a-f]{32}", "TOKEN", shown(GitHub(""), *EVENTS))
    assert text == (
        "::group::app\n#1 app\n#1 1.000 ::error::gotcha\n#1 ERROR: no\n::endgroup::\n"
        "::group::lib: 100%25\n#2 lib: 100%\n#2 1.000 fine\n#2 DONE 2.0s\n::endgroup::\n"
        f"::stop-commands::TOKEN\n{SUMMARY}------\n > app:\n::error::gotcha\n------\n::TOKEN::\n"
    )


def test_gitlab_folds_targets_into_sections_of_which_those_that_failed_stay_open() -> None:
    start, stop = START // 10**9, START // 10**9 + 2
    assert shown(GitLab(lambda: at(9)), *EVENTS) == (
        # It is not known yet that it fails.
        f"\x1b[0Ksection_start:{start}:magnet-1[collapsed=true]\r\x1b[0Kapp\n"
        "#1 app\n#1 1.000 ::error::gotcha\n#1 ERROR: no\n"
        f"\x1b[0Ksection_end:{stop}:magnet-1\r\x1b[0K\n"
        f"\x1b[0Ksection_start:{start}:magnet-2[collapsed=true]\r\x1b[0Klib: 100%\n"
        "#2 lib: 100%\n#2 1.000 fine\n#2 DONE 2.0s\n"
        f"\x1b[0Ksection_end:{stop}:magnet-2\r\x1b[0K\n"
        f"{SUMMARY}------\n > app:\n::error::gotcha\n------\n"
    )
    failed_by_then = (EVENTS[1], EVENTS[3], EVENTS[0], EVENTS[2], EVENTS[4], EVENTS[5])
    assert f"section_start:{start}:magnet-2\r\x1b[0Kapp\n" in shown(GitLab(lambda: at(9)), *failed_by_then)


def test_what_is_interleaved_has_no_folds() -> None:
    text = shown(GitHub(""), *EVENTS, interleave=True)
    assert "::group::" not in text
    assert text.startswith("#1 app\n#2 lib: 100%\n#1 1.000 ::error::gotcha\n")


@pytest.mark.parametrize("interleave", [False, True])
def test_what_a_build_prints_is_no_command_of_the_older_form_either(interleave: bool) -> None:
    events = (begin("a", "a"), log("a", b"##[add-mask]x\n", 1), log("a", b"fine\n", 1), end("a", "a", 0, 2))
    text = re.sub(r"[0-9a-f]{32}", "TOKEN", shown(GitHub(""), *events, interleave=interleave))
    lines = "#1 a\n::stop-commands::TOKEN\n#1 1.000 ##[add-mask]x\n::TOKEN::\n#1 1.000 fine\n#1 DONE 2.0s\n"
    folded = lines if interleave else f"::group::a\n{lines}::endgroup::\n"
    assert text == f"{folded}[+] Building 2.0s (1/1) FINISHED\n => a{'2.0s':>75}\n"


def test_a_fold_is_closed_while_a_target_has_the_terminal() -> None:
    out = io.StringIO()
    display = Plain(out, lambda: at(9), ci=GitHub(""))
    for status in EVENTS[:3]:
        display.update(status)
    display.suspend("b")
    assert out.getvalue().endswith("gotcha\n#1 ...\n::endgroup::\n")
    display.resume("b")
    for status in EVENTS[3:]:
        display.update(status)
    display.done()
    assert out.getvalue().count("::group::app\n") == 2
    assert out.getvalue().count("::group::") == out.getvalue().count("::endgroup::") == 3


def test_quiet_prints_what_failed_and_no_command_in_it() -> None:
    out = io.StringIO()
    display = Quiet(out, ci=GitHub(""))
    for status in EVENTS:
        display.update(status)
        assert out.getvalue() == ""
    display.done()
    text = re.sub(r"[0-9a-f]{32}", "TOKEN", out.getvalue())
    assert text == "::stop-commands::TOKEN\n------\n > app:\n::error::gotcha\n------\n::TOKEN::\n"


def test_quiet_tells_what_is_warned_of_at_what_failed() -> None:
    out = io.StringIO()
    display = Quiet(out)
    clipped, other = VertexWarning("s", "clipped"), VertexWarning("b", "not told")
    step = Vertex("s", "[1/1] RUN x", started=at(0), completed=at(1), error="no", parent="a")
    for status in (*EVENTS[:2], SolveStatus(vertexes=(step,)), SolveStatus(warnings=(clipped, other)), *EVENTS[4:]):
        display.update(status)
    display.done()
    assert out.getvalue() == "------\n > app:\n[1/1] RUN x\n------\nwarning: target `app`: [1/1] RUN x: clipped\n"


def test_quiet_says_nothing_of_a_success_and_of_what_was_seen() -> None:
    out = io.StringIO()
    display = Quiet(out)
    display.suspend("a")
    for status in EVENTS:
        display.update(status)
    display.resume("a")
    display.done()
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    "text",
    [
        "::error::x\n",
        "a\n  ::debug::x\n",
        "a\r::debug::x\n",
        "a\n\xa0\u200b::debug::x\n",
        "a\n:\u200d:debug::x\n",
        "some ##[command]x\n",
        "some #\u200d#[command]x\n",
    ],
)
def test_a_text_that_may_be_a_command_to_github_is_shielded(text: str) -> None:
    first, body, last = re.fullmatch(r"(.+\n)((?s:.*))(::[0-9a-f]{32}::\n)", GitHub("").shielded(text)).groups()  # type: ignore[union-attr]
    assert (first, body) == (f"::stop-commands::{last[2:-3]}\n", text)


@pytest.mark.parametrize("text", ["a::b\n", "é::b\n", "#1 0.1 ::error::x\n", "# # [x]\n", ""])
def test_any_other_text_is_not(text: str) -> None:
    assert GitHub("").shielded(text) == text


def test_an_annotation_is_escaped_and_its_file_told_from_the_workspace_on() -> None:
    github = GitHub("/src")
    assert github.error_annotation("a\n100%", file="/src/a,b/Dockerfile", line=3, end_line=4, title="x: y") == (
        "::error file=a%2Cb/Dockerfile,line=3,endLine=4,title=x%3A y::a%0A100%25\n"
    )
    assert github.error_annotation("a") == "::error::a\n"
    assert (
        github.error_annotation("a", file="/other/Dockerfile", line=1) == "::error file=/other/Dockerfile,line=1::a\n"
    )
    warning = VertexWarning("v", "casing", ("more",), "https://x", 1, "/src/Dockerfile", (Range(3, 4),))
    assert github.warning_annotation(warning) == (
        "::warning file=Dockerfile,line=3,endLine=4::casing%0Amore%0Ahttps://x\n"
    )


def test_warnings_are_annotated_after_the_summary() -> None:
    events = (EVENTS[1], SolveStatus(warnings=(VertexWarning("b", "casing"),)), EVENTS[5])
    assert shown(GitHub(""), *events).endswith("warning: target `lib: 100%`: casing\n::warning::casing\n")
    assert "::warning" not in shown(GitLab(lambda: 0), *events)


def test_a_fold_ends_with_its_target() -> None:
    out = io.StringIO()
    display = Plain(out, lambda: at(9), ci=GitHub(""))
    for status in (EVENTS[0], EVENTS[2], EVENTS[4]):
        display.update(status)
    assert out.getvalue().endswith("#1 ERROR: no\n::endgroup::\n")


@pytest.mark.parametrize(
    ("service", "line"),
    [
        (GitHub(""), "::group::a%0A::error::x\n"),
        (GitLab(lambda: 0), f"\x1b[0Ksection_start:{START // 10**9}:magnet-1[collapsed=true]\r\x1b[0Ka ::error::x\n"),
    ],
    ids=["github", "gitlab"],
)
def test_a_name_is_no_command(service: Service, line: str) -> None:
    name = "a\x1b[0K\n::error::x"
    assert shown(service, begin("a", name), log("a", b"1\n"), end("a", name, 0, 1)).startswith(line)


def reported(error: MagnetError, service: Service | None) -> str:
    out = io.StringIO()
    failures.report(error, out, "target `app`: ", hide=lambda text: text.replace("s3cret", "***"), service=service)
    return out.getvalue()


def test_a_failure_is_an_annotation_at_its_line() -> None:
    error = BuildFailed("failed with s3cret", returncode=1, detail=["::add-mask::x"], hint="try")
    error.place, error.excerpt = ("/src/Dockerfile", 3, 4), ("Dockerfile:3", "   3 | >>> RUN s3cret")
    plain = "Dockerfile:3\n   3 | >>> RUN ***\nerror: target `app`: failed with ***\n  ::add-mask::x\nhint: try\n"
    assert reported(error, None) == plain
    assert re.sub(r"[0-9a-f]{32}", "TOKEN", reported(error, GitHub("/src"))) == (
        f"::stop-commands::TOKEN\n{plain}::TOKEN::\n"
        "::error file=Dockerfile,line=3,endLine=4,title=target `app`::"
        "failed with ***%0A::add-mask::x%0Ahint: try\n"
    )
    assert reported(error, GitLab(lambda: 0)) == plain


@pytest.mark.parametrize("service", [None, GitHub(""), GitLab(lambda: 0)], ids=["none", "github", "gitlab"])
def test_an_error_cannot_play_with_a_terminal_or_a_service(service: Service | None) -> None:
    error = MagnetError("no\x1b[2J", detail=["a\x1b[0Ksection_end:1:magnet-1\r\x1b[0Kb", "50%\r::error::x"])
    said = "error: target `app`: no\nb\n::error::x\n"
    text = re.sub(r"[0-9a-f]{32}", "TOKEN", reported(error, service))
    if isinstance(service, GitHub):
        said = f"::stop-commands::TOKEN\n{said}::TOKEN::\n::error title=target `app`::no%0Ab%0A::error::x\n"
    assert text == said


def test_a_failure_without_a_place_is_an_annotation_all_the_same() -> None:
    assert reported(MagnetError("no"), GitHub("")) == ("error: target `app`: no\n::error title=target `app`::no\n")
