"""Targets that download, from a real server, in the real program."""

import json
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.program import HEADER, Program, Result
from tests.unit.fileserver import File, FileServer, Request, answer, requiring, serving, slowly, stall, status
from tests.unit.test_downloads import CONTENT, HALF, sha256
from tests.unit.test_unpacking import file, tar

EXAMPLE = Path(__file__).parents[2] / "examples/downloads"

MAGNETFILE = f"""
from magnet import MagnetError, env, target

URL = env("URL")
SUM = {sha256(CONTENT)!r}


@target
def get(t):
    t.output(str(len(t.download(URL + "/a.bin").read_bytes())))


@target
def summed(t):
    t.output(str(len(t.download(URL + "/a.bin", sha256=SUM).read_bytes())))


@target
def secret(t, password: str = env("PASSWORD", secret=True)):
    t.download(URL.replace("//", f"//me:{{password}}@") + f"/a.bin?token={{password}}")


@target
def literal(t):
    url = URL.replace("//", "//me:hunter3@") + "/a.bin"
    t.print(t.download(url, sha256=SUM).name, "of", url)


@target
def tools(t):
    t.exec("sh", t.download(URL + "/a.tar", unpack=True, strip=1) / "run")


@target
def several(t):
    begun = [t.start_download(f"{{URL}}/{{name}}") for name in ("a.bin", "b.bin")]
    t.print("meanwhile")
    t.output(" ".join(one.result().name for one in begun))


@target
def unheard(t):
    t.start_download(URL + "/missing")


@target
def forgiving(t):
    try:
        t.download(URL + "/missing")
    except MagnetError:
        t.output(t.download(URL + "/a.bin").name)


@target
def breaks(t):
    t.start_download(URL + "/a.bin")
    raise ValueError("it broke")


@target
def wrong(t):
    t.download(URL + "/a.bin", strip=1)
"""


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as server:
        server.files["/a.bin"] = File(CONTENT)
        yield server


@pytest.fixture
def project(magnet: Program, server: FileServer) -> Program:
    magnet.write({"magnetfile.py": MAGNETFILE.replace('env("URL")', f'env("URL", "{server.url("")}")')})
    return magnet


def settled(project: Program, server: FileServer, text: str) -> str:
    return text.replace(server.url(""), "URL").replace(str(project.root.parent), "HOME")


def error(done: Result) -> str:
    """What is reported at the end."""
    return done.err[done.err.index("error: ") :]


def store(project: Program) -> Path:
    return project.root.parent / ".cache/magnet/downloads"


def partial_sizes(project: Program) -> list[int]:
    return [path.stat().st_size for path in store(project).glob("partial/*") if path.suffix != ".json"]


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def test_a_download_is_a_step_of_its_target_and_its_url_in_the_log(project: Program, server: FileServer) -> None:
    server.files["/a.bin"].faults.append(status(503, Retry_After="0"))
    done = project("get")
    assert (done.code, done.out) == (0, f"{len(CONTENT)}\n")
    assert settled(project, server, done.err) == (
        f"{HEADER}"
        "#1 download URL/a.bin\n"
        "#1 N.N The server says 503 Service Unavailable; trying again in N.Ns\n"
        "#1 DONE N.Ns\n"
        "\n"
        "#2 get\n"
        "#2 DONE N.Ns\n"
        "[+] Building N.Ns (1/1) FINISHED\n"
        " => get                                                                     N.Ns\n"
    )
    assert "-----\ndownload URL/a.bin\nThe server says 503 Service Unavailable; trying again in N.Ns\n" in settled(
        project, server, project.log("get")
    )


def test_a_target_that_finds_all_its_downloads_here_is_cached(project: Program, server: FileServer) -> None:
    first, again = project("get"), project("get", "summed")
    assert (first.out, again.out) == (f"{len(CONTENT)}\n", f"{len(CONTENT)}\n" * 2)
    assert [" => CACHED get " in done.err for done in (first, again)] == [False, True]
    assert " => CACHED summed " in again.err
    assert [path for path, _ in server.asked] == ["/a.bin"] * 2


def test_several_downloads_go_on_at_the_same_time(project: Program, server: FileServer) -> None:
    def after_the_other(request: Request, one: File) -> None:
        assert server.released.wait(30)
        answer(request, one)

    def before_the_other(request: Request, one: File) -> None:
        server.released.set()
        answer(request, one)

    server.files["/a.bin"].faults.append(after_the_other)
    server.files["/b.bin"] = File(b"b", faults=deque([before_the_other]))
    done = project("several")
    assert (done.code, done.out) == (0, "a.bin b.bin\n")


def test_a_target_fails_with_a_download_that_it_began(project: Program, server: FileServer) -> None:
    done = project("unheard")
    assert (done.code, settled(project, server, error(done))) == (
        1,
        "error: target `unheard`: URL/missing cannot be downloaded: the server says 404 Not Found\n"
        "log: _build/logs/STAMP/unheard\n"
        "hint: see whether the URL is right, and the file still there\n",
    )


def test_a_target_that_was_told_can_go_on(project: Program) -> None:
    done = project("forgiving")
    assert (done.code, done.out) == (0, "a.bin\n")


def test_a_target_that_breaks_gives_its_downloads_up(project: Program, server: FileServer) -> None:
    server.files["/a.bin"].faults.append(stall(HALF))
    done = project("breaks")
    assert done.code == 1
    assert "CANCELED\n" in done.err
    assert "ValueError: it broke" in error(done)


def test_a_mistake_in_the_magnetfile_is_told_before_anything_is_asked(project: Program, server: FileServer) -> None:
    done = project("wrong")
    assert (done.code, error(done)) == (
        2,
        "error: target `wrong`: `strip` is for what is unpacked, and a number from 0\nhint: add `unpack=True`\n",
    )
    assert server.asked == []


def test_offline_nobody_is_asked(project: Program, server: FileServer) -> None:
    missing = project("--offline", "get", env={"MAGNET_OFFLINE": "0"})
    assert (missing.code, settled(project, server, error(missing))) == (
        1,
        "error: target `get`: URL/a.bin is not here, and magnet is offline\n"
        "log: _build/logs/STAMP/get\n"
        "hint: run it once without --offline and MAGNET_OFFLINE\n",
    )
    assert server.asked == []
    project("get", env={"MAGNET_OFFLINE": "0"})
    assert project("get", env={"MAGNET_OFFLINE": "1"}).out == f"{len(CONTENT)}\n"
    assert len(server.asked) == 1


def test_offline_goes_with_targets(project: Program) -> None:
    assert error(project("--offline", "cache", "list")) == "error: `--offline` is about targets, and `cache` is none\n"


def test_an_archive_is_unpacked_and_used(project: Program, server: FileServer, tmp_path: Path) -> None:
    archive = tar(tmp_path / "a.tar", file("app-1/run", b"echo it runs\n", mode=0o755))
    server.files["/a.tar"] = File(archive.read_bytes())
    assert project("tools").code == 0
    assert "it runs\n" in project.log("tools")
    (path,) = store(project).glob("unpacked/*/run")
    path.write_text("echo changed\n")
    done = project("tools")
    assert "it runs" in done.err
    assert "WARN: what URL/a.tar was unpacked to was changed, so it is unpacked again\n" in settled(
        project, server, done.err
    )


def test_a_download_goes_on_after_magnet_was_killed(project: Program, server: FileServer) -> None:
    server.files["/a.bin"].faults.append(stall(HALF))
    process = project.start("summed")
    wait_until(lambda: any(partial_sizes(project)), "nothing came")
    time.sleep(0.3)
    process.kill()
    process.communicate()
    assert project("summed").out == f"{len(CONTENT)}\n"
    ((begun,),) = server.headers("range")[1:]
    assert begun
    assert 0 < int(begun.removeprefix("bytes=").removesuffix("-")) <= HALF


def test_an_interrupt_ends_a_download_at_once_and_the_next_run_goes_on(project: Program, server: FileServer) -> None:
    server.files["/a.bin"].faults.append(stall(HALF))
    process = project.start("get")
    wait_until(lambda: any(partial_sizes(project)), "nothing came")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert project.settled(err).count("CANCELED") == 3
    assert project.settled(err).endswith("error: interrupted\n")
    assert project("get").out == f"{len(CONTENT)}\n"
    assert [one[0] is not None for one in server.headers("range")] == [False, True]


def test_two_runs_share_one_transfer(project: Program, server: FileServer) -> None:
    server.files["/a.bin"].faults.append(slowly)
    processes = [project.start("summed") for _ in range(2)]
    said = [process.communicate(timeout=60) for process in processes]
    assert [out for out, _ in said] == [f"{len(CONTENT)}\n".encode()] * 2
    assert len(server.asked) == 1


def test_a_password_in_a_url_is_shown_nowhere(project: Program, server: FileServer) -> None:
    server.files["/a.bin"].faults.append(requiring("me", "hunter2"))
    done = project("--progress=rawjson", "secret", env={"PASSWORD": "hunter2"})
    assert done.code == 0
    assert '"name":"download ' in done.out
    kept = [path for top in (project.root / "_build", store(project)) for path in top.rglob("*") if path.is_file()]
    for data in (done.out, done.err, *(path.read_bytes().decode(errors="replace") for path in kept)):
        assert "hunter2" not in data


def test_a_password_in_a_url_is_hidden_though_nothing_is_sent(project: Program, server: FileServer) -> None:
    project("summed")
    assert f"a.bin of {server.url('/a.bin', userinfo='me:***@')}\n" in project("literal").err
    assert len(server.asked) == 1


def test_a_dry_run_downloads_nothing(project: Program, server: FileServer) -> None:
    done = project("-n", "tools")
    assert settled(project, server, done.out) == (
        "# tools\n# Download URL/a.tar and unpack it\nsh HOME/.cache/magnet/downloads/objects/unknown/a.tar/run\n"
    )
    assert (server.asked, store(project).exists()) == ([], False)


def test_a_question_downloads_nothing_and_says_what_it_wants(project: Program, server: FileServer) -> None:
    done = project("--explain", "tools")
    assert (done.code, settled(project, server, done.err)) == (
        1,
        "error: target `tools`: URL/a.tar is not here yet, and nobody knows what depends on it\n"
        "hint: run the target first\n",
    )
    assert server.asked == []


def test_the_cache_is_where_xdg_says(project: Program, tmp_path: Path) -> None:
    project("get", env={"XDG_CACHE_HOME": str(tmp_path / "elsewhere")})
    assert [path.name for path in (tmp_path / "elsewhere/magnet/downloads/objects").glob("*/*")] == ["a.bin"]
    assert not store(project).exists()


def test_a_cache_that_cannot_be_written_is_an_error(project: Program, server: FileServer) -> None:
    store(project).parent.mkdir(parents=True)
    store(project).write_text("")
    done = project("get")
    assert (done.code, settled(project, server, error(done))) == (
        1,
        "error: target `get`: cannot write to HOME/.cache/magnet/downloads: File exists\n"
        "log: _build/logs/STAMP/get\n"
        "hint: XDG_CACHE_HOME names the directory in which magnet's is\n",
    )


def test_a_run_without_downloads_does_not_pay_for_them(project: Program) -> None:
    project.write({"other.py": "from magnet import target\n\n\n@target\ndef one(t):\n    pass\n"})
    done = project("-f", "other.py", "one", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert "magnet.body" in done.err
    for module in ("magnet.downloads", "requests", "urllib3", "tarfile", "hashlib"):
        assert f" {module}\n" not in done.err


# Seen to


def test_downloads_are_listed_with_their_sizes_and_pruned_without_an_engine(
    project: Program, server: FileServer, tmp_path: Path
) -> None:
    archive = tar(tmp_path / "a.tar", file("app-1/run", b"exit 0\n"))
    server.files["/a.tar"] = File(archive.read_bytes())
    assert project("cache", "list", "--downloads").out.endswith(":\n  0 files, 0B\n")
    project("get", "tools")
    server.files["/a.bin"] = File(b"new", '"2"')
    project("get")
    listed = project("cache", "list", "--downloads")
    assert (listed.code, listed.err) == (0, "")
    head, *rows, total = settled(project, server, listed.out).splitlines()
    assert head == "Downloads in HOME/.cache/magnet/downloads:"
    assert sorted(row.split(maxsplit=3)[3] for row in rows) == ["URL/a.bin", "URL/a.tar, unpacked", "a.bin (older)"]
    assert total.startswith("  3 files, ")
    found = json.loads(project("cache", "list", "--downloads", "--json").out)["downloads"]
    assert {tuple(one["names"]): one["unpacked"] for one in found} == {("a.bin",): False, ("a.tar",): True}
    assert all(one["size"] > 0 and one["digest"].startswith("blake3:") for one in found)

    assert project("cache", "prune", "--downloads", "-n").out.startswith("To be removed: 1 download: ")
    assert project("cache", "prune", "--downloads", "--older-than", "1h").out == "There is nothing to remove.\n"
    assert project("cache", "prune", "--downloads").out.startswith("Removed: 1 download: ")
    assert project("get").out == "3\n"
    assert project("cache", "prune", "--downloads", "--all").out.startswith("Removed: 2 downloads: ")
    assert project("cache", "prune", "--downloads", "--all").out == "There is nothing to remove.\n"
    left = [
        path.name
        for name in ("objects", "urls", "unpacked", "partial", "locks")
        for path in store(project).glob(f"{name}/*")
    ]
    assert left == []


def test_parts_of_downloads_are_pruned_unless_they_are_on_their_way(project: Program, server: FileServer) -> None:
    server.files["/a.bin"].faults.append(stall(HALF))
    process = project.start("get")
    wait_until(lambda: any(partial_sizes(project)), "nothing came")
    assert project("cache", "prune", "--downloads").out == "There is nothing to remove.\n"
    process.kill()
    process.communicate()
    assert project("cache", "prune", "--downloads").out.startswith("Removed: 1 part of downloads: ")
    assert partial_sizes(project) == []


def test_what_is_not_about_downloads_is_refused(project: Program) -> None:
    assert error(project("cache", "prune", "--downloads", "--keep", "2")) == (
        "error: --keep is not about downloads\nhint: leave out one of --keep and --downloads\n"
    )
