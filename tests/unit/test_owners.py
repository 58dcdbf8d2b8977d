"""Names after --chown are looked up where their instruction stands, by a Dockerfile made for that."""

import io
import tarfile
from pathlib import Path

import pytest

from magnet.dockerfile import Dockerfile, parse_text
from magnet.errors import MagnetfileError
from magnet.owners import Look, check, looks, lookup, named

FILE = Path("Dockerfile")
TEXT = """\
ARG V
FROM base:$V AS one
RUN true
COPY --chown=7:8 a /
COPY --chown=app a /
# more
ENV A=1
COPY --chown=$A:staff --from=none \\
  a /
FROM --platform=$BUILDPLATFORM one
ENV U=you
ADD --chown=$U a /
COPY --chown=$UNKNOWN a /
ONBUILD COPY --chown=none a /
"""


def parsed(text: str = TEXT) -> tuple[Dockerfile, tuple[Look, ...]]:
    dockerfile = parse_text(FILE, text)
    return dockerfile, looks(dockerfile, dockerfile.transfers())


def archive(tmp_path: Path, **lists: str) -> Path:
    with tarfile.open(tmp_path / "tar", "w") as tar:
        for name, text in lists.items():
            info = tarfile.TarInfo(name.replace("_", "/"))
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return tmp_path / "tar"


def test_the_names_are_those_that_are_no_numbers() -> None:
    _, found = parsed()
    assert [(look.transfer.owner, look.stage.index, look.until) for look in found] == [
        ("app", 0, 4),
        ("1:staff", 0, 5),
        ("you", 1, 10),
    ]


def test_the_lookup_ends_with_each_stage_as_it_is_before_its_instruction() -> None:
    dockerfile, found = parsed()
    assert lookup(TEXT, found, len(dockerfile.stages)) == TEXT + (
        "FROM base:$V\nRUN true\nCOPY --chown=7:8 a /\n"
        "FROM base:$V\nRUN true\nCOPY --chown=7:8 a /\nCOPY --chown=app a /\n"
        "FROM --platform=$BUILDPLATFORM one\n"
        "FROM scratch\n"
        "COPY --from=2 /et[c]/passw[d] /et[c]/grou[p] /0/\n"
        "COPY --from=3 /et[c]/passw[d] /et[c]/grou[p] /1/\n"
        "COPY --from=4 /et[c]/passw[d] /et[c]/grou[p] /2/\n"
    )


def test_between_two_instructions_nothing_is_looked_up_twice_where_nothing_changes() -> None:
    _, found = parsed("FROM a\nENV A=1\nWORKDIR /w\nADD --chown=b d /\nADD --chown=c d /\n")
    alone = (found[0], Look(found[1].transfer, found[1].stage, found[0].until))
    assert (
        lookup("FROM a", alone, 1) == "FROM a\nFROM a\nFROM scratch\nCOPY --from=1 /et[c]/passw[d] /et[c]/grou[p] /0/\n"
    )


def test_known_names_are_none_of_our_business(tmp_path: Path) -> None:
    people = {"0_passwd": "root:x:0\napp:x:7\n", "1_passwd": "", "1_group": "staff:x:8", "./2_passwd": "you:"}
    check(parsed()[1], archive(tmp_path, **people), FILE)


@pytest.mark.parametrize(
    ("missing", "line", "message"),
    [
        ("0_passwd", "COPY --chown=app a /", "line 5: there is no user `app` in the image here"),
        ("1_group", "COPY --chown=$A:staff --from=none a /", "line 8: there is no group `staff` in the image here"),
        ("2_passwd", "ADD --chown=$U a /", "line 12: there is no user `you` in the image here"),
    ],
)
def test_an_unknown_name_is_a_mistake(tmp_path: Path, missing: str, line: str, message: str) -> None:
    people = {"0_passwd": "app:x:7\n", "1_group": "staff:x:8", "2_passwd": "you:", missing: "apply:x:1\n"}
    with pytest.raises(MagnetfileError) as caught:
        check(parsed()[1], archive(tmp_path, **people), FILE)
    assert (caught.value.message, caught.value.detail) == (f"`Dockerfile`, {message}", (line,))


def test_a_step_of_the_lookup_that_fails_is_called_as_in_the_build_itself() -> None:
    dockerfile, found = parsed()
    assert named("[stage-2 2/3] RUN true", found, len(dockerfile.stages)) == "[one 2/3] RUN true"
    assert named("[stage-4 1/1] FROM one", found, len(dockerfile.stages)) == "[stage-1 1/1] FROM one"
    assert named("[one 2/3] RUN true", found, len(dockerfile.stages)) == "[one 2/3] RUN true"
