"""How docs/conformance.md comes about: what makes a cell what it is, and how the page is written."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import results
from tests.conformance.behaviours import Behaviour, Case, Cell, Differs, Refused, Section, without_versions
from tests.conformance.document import document, names, sections
from tests.conformance.engines import ORDER, Tested
from tests.conformance.results import Results
from tests.conformance.together import Part, Together
from tests.contract.engines import Column, Magnet

PAGE = Path(__file__).parents[2] / "docs/conformance.md"


def test_the_page_is_written_from_the_results_that_are_kept() -> None:
    assert PAGE.read_text() == document(results.load(results.COMMITTED), sections())


def test_every_behaviour_is_the_same_or_refused_in_every_column() -> None:
    found = results.load(results.COMMITTED)
    assert tuple(found) == ORDER
    assert {code: set(one.cells) ^ names() for code, one in found.items()} == {code: set() for code in ORDER}
    assert {cell.verdict for one in found.values() for cell in one.cells.values()} == {"same", "refused"}


@pytest.mark.parametrize("who", ["buildah {}", "buildah {} rootless", "docker {}, legacy builder"])
def test_another_patch_release_of_the_engines_here_is_no_other_refusal(who: str) -> None:
    said = who + " cannot do it\nhint: podman 5.5 or later has it; here, `--backend podman` ({}) can"
    one, other = Cell("refused", said.format("1.2.3", "5.5.0")), Cell("refused", said.format("1.2.10+dfsg1", "5.5.1"))
    assert without_versions(one) == without_versions(other)
    for changed in ("it\n", "5.5 or later", "here,", "legacy " if "legacy" in who else "hint"):
        assert without_versions(one) != without_versions(Cell("refused", one.said.replace(changed, "x"))), changed
    assert without_versions(one) != without_versions(Cell("same", one.said))


def test_an_id_names_one_behaviour() -> None:
    for section in sections().values():
        ids = [one.id for one in section.behaviours]
        assert len(ids) == len(set(ids))


TESTED = Tested("D20", "debian-12", "docker 20.10", "BuildKit", "root")


def test_a_page_has_a_legend_the_verdicts_and_the_sentences_of_refusals() -> None:
    section = Section("Builds", "About them.", ("What is not.",))
    for name, title in (("one", "A | B"), ("two", "`C`")):
        section.behaviours.append(Behaviour(name, title, None, lambda case: None))
    refused = Cell("refused", "docker 20.10 cannot do `C`\n  Dockerfile:2: C  c\nhint: podman has it")
    found = {
        "D20": Results(TESTED, {"x.one": Cell("same"), "x.two": refused}),
        "P4": Results(replace(TESTED, code="P4", engine="podman 4.3"), {"x.one": Cell("same")}),
    }
    page = document(found, {"x": section})
    assert page[page.index("## The columns") :] == (
        "## The columns\n\n"
        "| column | engine | what builds | used by | system |\n|---|---|---|---|---|\n"
        "| D20 | docker 20.10 | BuildKit | root | Debian 12 |\n"
        "| P4 | podman 4.3 | BuildKit | root | Debian 12 |\n\n"
        "## Builds\n\nAbout them.\n\n"
        "| behaviour | D20 | P4 |\n|---|---|---|\n"
        "| A \\| B | same | same |\n"
        "| `C` | refused [1] | differs |\n\n"
        "Refused:\n\n"
        "1. D20: `` docker 20.10 cannot do `C` `` `Dockerfile:2: C c` (hint: podman has it)\n\n"
        "Not promised:\n\n- What is not.\n"
    )


def test_sentences_that_columns_share_are_told_once() -> None:
    section = Section("Builds", behaviours=[Behaviour("one", "A", None, lambda case: None)])
    found = {
        code: Results(replace(TESTED, code=code), {"x.one": Cell("refused", said)})
        for code, said in (("D20", "no"), ("P4", "never"), ("P4r", "never"))
    }
    assert document(found, {"x": section}).endswith(
        "| A | refused [1] | refused [1] | refused [1] |\n\nRefused:\n\n1. - D20: `no`\n   - P4, P4r: `never`\n"
    )


def test_results_of_some_behaviours_leave_the_others_as_they_were(tmp_path: Path) -> None:
    known = {"x.one", "x.two", "x.three"}
    results.save(Results(TESTED, dict.fromkeys(known, Cell("same"))), tmp_path, known)
    results.save(Results(TESTED, {"x.two": Cell("refused", "no")}), tmp_path, known - {"x.three"})
    assert results.load(tmp_path) == {
        "D20": Results(TESTED, {"x.one": Cell("same"), "x.two": Cell("refused", "no")}),
    }
    assert os.listdir(tmp_path) == ["D20.json"]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A case of an engine that is never asked."""
    return Case(Magnet(Column("podman", "podman"), tmp_path), "base", "name", "registry")


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [("seen", "same"), ("other", "differs"), (Refused("no"), "refused"), (Differs("never began"), "differs")],
    ids=str,
)
def test_a_behaviour_is_the_same_refused_or_differs(case: Case, seen: str | Exception, verdict: str) -> None:
    def see(case: Case) -> str:
        if isinstance(seen, Exception):
            raise seen
        return seen

    assert Behaviour("one", "A", "seen", see).judge(case).verdict == verdict


def log(case: Case, text: str) -> None:
    """Write the log of the last run."""
    case.magnet.write({"_build/logs/latest/build": text})


@pytest.mark.parametrize(
    ("error", "said", "is_refusal"),
    [
        ("podman 4.3.1 cannot do it", "-----\n", True),
        ("podman 4.3.1 rootless cannot do it", "-----\n", True),
        ("podman 4.3.1 could not run the container", "Exec:  podman run app\n", False),
        ("docker 20.10 cannot do it", "-----\n", False),
        ("no image `app` in podman 4.3.1", "-----\n", False),
        ("podman build failed with exit code 125", "-----\n", False),
    ],
)
def test_a_refusal_names_the_engine_and_its_version_before_anything_was_run(
    case: Case, monkeypatch: pytest.MonkeyPatch, error: str, said: str, is_refusal: bool
) -> None:
    log(case, said)
    monkeypatch.setattr(Magnet, "__call__", ended(3, f"#1 build\nerror: target `build`: {error}\n"))
    if is_refusal:
        with pytest.raises(Refused, match=error):
            case.end("build", ".")
    else:
        assert case.end("build", ".") == (3, error)


def ended(code: int, err: str) -> Any:
    """What stands for a run of magnet that ends so."""
    from tests.contract.engines import Result

    return lambda magnet, *words, stdin=b"": Result(code, b"", err)


PARTS = [Part(id, "", "", (f"LINE {id}",)) for id in "abcd"]  # noqa: A001


def looked_at(case: Case, refused: str = "", differing: str = "", alone: str = "") -> tuple[dict[str, str], list[str]]:
    """What becomes of four parts, one of which may be refused, or differ, or do so unless it is alone; and the looks."""
    looks: list[str] = []

    def observe(case: Case, parts: Sequence[Part]) -> Mapping[str, str]:
        looks.append("".join(part.id for part in parts))
        if refused and any(part.id == refused for part in parts):
            raise Refused(f"cannot do it: LINE {refused}")
        wrong = {differing, alone if len(parts) > 1 else ""}
        return {part.id: "wrong" if part.id in wrong else "" for part in parts}

    section = Section("Builds")
    together = Together(section, "builds", observe)
    for part in PARTS:
        together.add(part.id, part.id, *part.lines, see="", expected="")
    return {one.id: one.judge(case).verdict for one in section.behaviours}, looks


def test_parts_that_are_all_the_same_are_looked_at_once(case: Case) -> None:
    assert looked_at(case) == (dict.fromkeys("abcd", "same"), ["abcd"])


def test_a_part_that_is_refused_is_told_apart_from_those_that_are_not(case: Case) -> None:
    assert looked_at(case, refused="b") == (
        {"a": "same", "b": "refused", "c": "same", "d": "same"},
        ["abcd", "b", "acd"],
    )


def test_a_part_differs_only_if_it_does_so_alone(case: Case) -> None:
    assert looked_at(case, alone="c") == (dict.fromkeys("abcd", "same"), ["abcd", "c"])
    case.kept.clear()
    assert looked_at(case, differing="c") == (
        {"a": "same", "b": "same", "c": "differs", "d": "same"},
        ["abcd", "c"],
    )
