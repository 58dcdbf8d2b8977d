"""What a Dockerfile says means the same on every engine, or is refused before anything starts."""

import os
import re

import pytest

from magnet.backends import choose
from tests.contract.engines import PREFIX, Column, Magnet

# The features that lines use, the lines, and what then is to be found in the image, as a shell tells it.
USES: tuple[tuple[set[str], str, str, str], ...] = (
    (set(), "RUN grep CapEff /proc/self/status >/may", "cat /may", "CapEff:\t00000000a80425fb"),
    ({"heredoc"}, "RUN <<EOF\necho here >/heredoc\nEOF", "cat /heredoc", "here"),
    ({"run-mount"}, "RUN --mount=type=tmpfs,target=/c echo 1 >/c/x && ls /c >/mounted", "cat /mounted", "x"),
    ({"run-network", "network"}, "RUN --network=none ls /sys/class/net >/network", "cat /network", "lo"),
    ({"copy-link"}, "COPY --link a /linked", "cat /linked", "of a"),
    ({"copy-parents"}, "COPY --parents d/b /parents/", "ls /parents/d", "b"),
    ({"copy-exclude"}, "COPY --exclude=**/b d /excluded", "ls -A /excluded | wc -l", "1"),
    ({"copy-exclude", "exclude-below"}, "COPY --exclude=b d /excluded2", "ls -A /excluded2 | wc -l", "1"),
    ({"copy-chmod"}, "COPY --chmod=0701 a /mode", "stat -c %a /mode", "701"),
    ({"copy-chmod", "chmod-symbolic"}, "COPY --chmod=u=rx,go= a /symbolic", "stat -c %a /symbolic", "500"),
    ({"copy-chmod", "chmod-variable"}, "ARG M=702\nCOPY --chmod=$M a /variable", "stat -c %a /variable", "702"),
    ({"expansion-pattern"}, "ENV P=abcab\nENV P2=${P#ab}${P/b/x}", "echo $P2", "cabaxcab"),
    ({"expansion-unset"}, "ENV U=${NONE-x}", "echo $U", "x"),
    ({"expansion-required"}, "ARG R=1\nENV R2=${R:?none}", "echo $R2", "1"),
    ({"health-start-interval"}, "HEALTHCHECK --start-interval=1s CMD true", "true", ""),
    ({"workdir-owner"}, "RUN mkdir -p /etc && touch /etc/passwd\nUSER 7:7\nWORKDIR /owned/x\nUSER 0", "stat -c %u /owned/x", "7"),
)  # fmt: skip


@pytest.fixture
def features(column: Column, magnet: Magnet) -> frozenset[str]:
    """What the column's engine has, as its probe tells."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in magnet.env.items():
            patch.setenv(name, value)
        return choose(column.backend).engine.features


def test_an_engine_does_what_it_has_and_is_refused_what_it_has_not(
    magnet: Magnet, base: str, tag: str, features: frozenset[str]
) -> None:
    able = [use for use in USES if use[0] <= features]
    lacking = [lines for needed, lines, _, _ in USES if not needed <= features]
    magnet.write(
        {"a": "of a\n", "d/b": "", "d/c": "", "Dockerfile": "\n".join([f"FROM {base}", *(u[1] for u in able)])}
    )
    magnet.ok("build", "-t", tag, ".")
    script = "\n".join(command for _, _, command, _ in able)
    assert magnet.ok("run", "--rm", tag, "sh", "-c", script).decode().split("\n") == [
        *(found for *_, found in able if found),
        "",
    ]
    magnet.write({"Dockerfile": "\n".join([f"FROM {base} AS none", "FROM scratch", *lacking])})
    refused = magnet.refused("build", ".")
    assert re.match(
        r"error: target `build`: \w+ [\w.+]+( rootless)?(, legacy builder)? cannot do `.+`\n"
        r"  Dockerfile:\d+: [A-Z]+ .+\nhint: .+; (here, `--backend .+ can|none of the engines here can)\n$",
        refused,
    ), refused


def test_a_pattern_that_matches_nothing_is_a_mistake_on_every_engine(magnet: Magnet, base: str) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\nCOPY Dockerfile zzz* /d/\nCOPY zzz* /d/\n"})
    result = magnet("build", ".")
    assert (result.code, result.error) == (
        2,
        f"error: target `build`: `{magnet.root}/Dockerfile`, line 3: nothing in the context matches `zzz*`\n"
        "  COPY zzz* /d/\nhint: `magnet --files TARGET` lists what is in the context\n",
    )


def inspected(magnet: Magnet, tag: str) -> str:
    """What the engine's own program says of an image, as JSON."""
    words = ["inspect", "--type=image"] if magnet.column.backend == "buildah" else ["image", "inspect"]
    return magnet.engine(*words, tag)


def test_what_run_writes_into_a_volume_stays_and_the_volume_is_declared(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write(
        {
            "Dockerfile": f"FROM {base} AS below\nENV V=/v\nVOLUME $V/one\nFROM below AS app\nRUN mkdir -p /v/one && echo 1 >/v/one/f\n"
            "VOLUME /two\nRUN mkdir -p /two/d && chmod 700 /two/d\nUSER 0\nFROM scratch\nCOPY nosuch /\n"
        }
    )
    magnet.ok("build", "-t", tag, "--target", "app", ".")
    script = "cat /v/one/f; stat -c %a /two/d"
    assert magnet.ok("run", "--rm", tag, "sh", "-c", script) == b"1\n700\n"
    assert set(re.findall(r'"(/[^"\\]*)": ?\{\}', inspected(magnet, tag))) == {"/two", "/v/one"}


def test_stages_platforms_syntax_and_build_args_are_the_same_everywhere(magnet: Magnet, base: str, tag: str) -> None:
    name, _, version = base.rpartition(":")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    lines = (
        "# syntax=docker/dockerfile:1",  # no registry here can give it
        "# escape=`",
        f"ARG BASE={PREFIX}-nosuch",
        f"FROM {PREFIX}-nosuch",
        "RUN exit 1",
        "FROM --platform=$BUILDPLATFORM ${BASE}:" + version,
        "ARG TARGETARCH",
        "ARG BUILDPLATFORM",
        "COPY a `",
        "  /a",
        "RUN echo $TARGETARCH $BUILDPLATFORM >>/a",
        f"FROM {base} AS no",
        "ARG OTHER",
        "RUN exit 2",
    )
    magnet.write({"a": "of a\n", "Dockerfile": "\n".join(lines)})
    arguments = {"BASE": name, "OTHER": "x", "HTTP_PROXY": "http://h", "no_proxy": "h"}
    given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
    result = magnet("build", "-t", tag, "--target", "1", *given, ".")
    assert result.code == 0, result.err
    assert re.findall(r".*(?:[Ww]arn|not consumed|no instruction uses).*", result.err) == [
        "#1 WARN: no instruction uses the build arg `OTHER`",
        "warning: target `build`: no instruction uses the build arg `OTHER`",
    ]
    assert magnet.ok("run", "--rm", tag, "cat", "/a").decode() == f"of a\n{machine} linux/{machine}\n"


def test_the_owner_of_what_is_copied_is_known_by_name_or_an_error(magnet: Magnet, base: str, tag: str) -> None:
    lines = (
        f"FROM {base} AS one",
        "RUN mkdir -p /etc && echo 'app:x:123:124::/:' >/etc/passwd && echo 'app:x:124:' >/etc/group",
        "ARG OWNER=app",
        "COPY --chown=$OWNER a /a",
        "COPY --chown=7:app a /b",
    )
    magnet.write({"a": "", "Dockerfile": "\n".join(lines)})
    magnet.ok("build", "-t", tag, ".")
    assert magnet.ok("run", "--rm", tag, "stat", "-c", "%u:%g", "/a", "/b") == b"123:124\n7:124\n"
    result = magnet("build", "-t", f"{tag}-b", "--build-arg=OWNER=nosuch", ".")
    assert result.code in (1, 2), result.err
    assert "COPY --chown=$OWNER a /a" in result.err
    assert "nosuch" in result.error
    assert magnet.engine("images", "--quiet", f"{tag}-b") == ""
