from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from magnet import Copy, MagnetError, Mount
from magnet import default_magnetfile as default


def test_volumes_of_paths_are_bind_mounts_and_all_others_stay_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/tmp")
    words = [
        "./src:/src",
        "/data:/data:ro",
        "~/x:/x:rw",
        "/c:/c:ro,cached",
        "cache:/var/cache",
        "/anonymous",
        "./z:/z:Z",
    ]
    assert default._volumes(words) == (
        [
            Mount("./src", "/src"),
            Mount("/data", "/data", readonly=True),
            Mount("~/x", "/x"),
            Mount("/c", "/c", readonly=True, consistency="cached"),
            Mount("./z", "/z", relabel="private"),
        ],
        ["--volume=cache:/var/cache", "--volume=/anonymous"],
    )


@pytest.mark.parametrize(
    "word", ["type=bind,source=/s,target=/t", "type=bind,src=/s,dst=/t", "type=bind,src=/s,destination=/t"]
)
def test_every_spelling_of_a_bind_mount_is_the_same_mount(word: str) -> None:
    assert default._mounts([word]) == ([Mount("/s", "/t")], [])


@pytest.mark.parametrize("word", ["readonly", "ro", "readonly=true", "ro=1"])
def test_every_spelling_of_read_only_is_read_only(word: str) -> None:
    assert default._mounts([f"type=bind,source=/s,target=/t,{word}"]) == ([Mount("/s", "/t", readonly=True)], [])


def test_a_path_with_a_comma_is_quoted_in_a_mount() -> None:
    assert default._mounts(['type=bind,"source=/a,b",target=/t']) == ([Mount("/a,b", "/t")], [])


def test_mounts_of_other_types_and_with_other_keys_are_left_to_the_engine() -> None:
    words = ["type=volume,source=v,target=/t", "type=bind,source=/s,target=/t,bind-propagation=shared"]
    assert default._mounts(words) == ([], [f"--mount={word}" for word in words])


def test_an_empty_file_system_in_memory_is_the_same_however_it_is_written() -> None:
    words = ["type=tmpfs,target=/t", "type=tmpfs,dst=/u,tmpfs-size=64m,tmpfs-mode=700"]
    assert default._mounts(words) == ([], ["--tmpfs=/t:", "--tmpfs=/u:size=64m,mode=700"])


def test_a_file_of_variables_is_read_as_it_is_whichever_the_engine(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("A='q' \"d\" # no comment\n\n  # comment\nB=\n  C=1 \nHOME\n")
    assert default._env_lines(tmp_path / "env") == ["A='q' \"d\" # no comment", "B=", "C=1 ", "HOME"]
    with pytest.raises(MagnetError) as caught:
        default._env_lines(tmp_path / "nosuch")
    assert caught.value.message == f"cannot read `{tmp_path}/nosuch`: No such file or directory"


def test_a_bind_mount_without_a_source_is_an_error() -> None:
    with pytest.raises(MagnetError) as caught:
        default._mounts(["type=bind,target=/t"])
    assert caught.value.message == "`--mount=type=bind,target=/t` has no source or no target"


def test_a_name_without_a_value_has_that_of_the_environment_or_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "yes")
    monkeypatch.delenv("GONE", raising=False)
    assert default._pairs(["A=1=2", "HERE", "GONE", "EMPTY="]) == {"A": "1=2", "HERE": "yes", "EMPTY": ""}


def test_a_label_without_a_value_is_empty() -> None:
    assert default._pairs(["A", "B=b"], default="") == {"A": "", "B": "b"}


@pytest.mark.parametrize(("word", "policy"), [("true", "always"), ("false", "missing"), ("newer", "newer")])
def test_dockers_pull_switch_and_podmans_policy_are_one(word: str, policy: str) -> None:
    assert default._pull_policy(word) == policy


def narrow(root: Path, dockerfile: str, **files: str) -> list[Copy] | None:
    root.joinpath("Dockerfile").write_text(dockerfile)
    for name, text in files.items():
        root.joinpath(name).write_text(text)
    t: Any = SimpleNamespace(project=SimpleNamespace(root=root))
    return default._narrow(t, ".", "", "", {})


def test_a_narrow_context_has_just_the_sources_by_their_literal_names(tmp_path: Path) -> None:
    copies = narrow(tmp_path, "FROM scratch\nCOPY #1 !2 /\nADD src/*.c /src/\n", **{".dockerignore": "*.o\n"})
    assert copies == [Copy(".", include=["\\!2", "\\#1", "src/*.c"], exclude=["*.o"])]


@pytest.mark.parametrize("instruction", ["COPY . /", "COPY a ./ /x/", "COPY $UNKNOWN /"])
def test_a_narrow_context_has_all_where_all_or_something_unknown_is_copied(tmp_path: Path, instruction: str) -> None:
    assert narrow(tmp_path, f"FROM base\n{instruction}\n") is None


def test_a_narrow_context_is_empty_where_nothing_is_copied(tmp_path: Path) -> None:
    assert narrow(tmp_path, "FROM base\nRUN true\n") == []
