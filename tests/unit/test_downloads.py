"""Downloads from a real server, which does what servers and networks do wrong."""

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from magnet.downloads.checksums import checksum
from magnet.downloads.fetching import Downloads, Fetched
from magnet.downloads.patience import Patience
from magnet.downloads.store import Store
from magnet.downloads.telling import Telling
from magnet.downloads.urls import source
from magnet.errors import Canceled, MagnetError, MagnetfileError
from magnet.events import SolveStatus, Vertex, VertexStatus
from tests.unit.fileserver import (
    CERTIFICATE,
    LONG_AGO,
    Fault,
    File,
    FileServer,
    chunked,
    corrupt,
    cut,
    redirect,
    requiring,
    reset,
    serving,
    slowly,
    stall,
    status,
)

CONTENT = b"".join(number.to_bytes(4, "big") for number in range(50_000))
HALF = len(CONTENT) // 2

QUICK = Patience(stall=10, first=0.001, longest=0.002)
"""Waits for no one, but for a server that is slow because the machine is."""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class User:
    """A user's store, and the runs of magnet that use it; `told` are the events of all."""

    directory: Path
    environ: dict[str, str] = field(default_factory=dict)
    patience: Patience = QUICK
    told: list[SolveStatus] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    clock: Callable[[], int] = field(default_factory=lambda: count(1).__next__)

    def run(self, *, offline: bool = False) -> Downloads:
        return Downloads(
            Store(self.directory),
            environ=self.environ,
            clock=self.clock,
            offline=offline,
            hide=self.hidden.extend,
            patience=self.patience,
        )

    def fetch(
        self,
        url: str,
        *,
        run: Downloads | None = None,
        offline: bool = False,
        check: Callable[[], None] = lambda: None,
        **sums: Any,
    ) -> Fetched:
        telling = Telling(Vertex("d", "download", parent="t"), self.told.append, self.clock)
        expected = checksum(sums.get("sha256"), sums.get("blake3"))
        return (run or self.run(offline=offline)).fetch(source(url), expected, telling, check)

    def get(self, url: str, **sums: Any) -> bytes:
        """What a run of its own gets."""
        return self.fetch(url, **sums).path.read_bytes()

    def fails(self, url: str, **sums: Any) -> MagnetError:
        with pytest.raises(MagnetError) as raised:
            self.fetch(url, **sums)
        return raised.value

    @property
    def lines(self) -> list[str]:
        return [log.data.decode().rstrip() for one in self.told for log in one.logs]

    @property
    def warnings(self) -> list[str]:
        return [warning.short for one in self.told for warning in one.warnings]

    @property
    def objects(self) -> list[Path]:
        return sorted((self.directory / "objects").glob("*/*"))

    @property
    def partials(self) -> list[int]:
        return [path.stat().st_size for path in self.directory.glob("partial/*") if path.suffix != ".json"]


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> User:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NETRC", os.devnull)
    return User(tmp_path / "downloads")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as server:
        server.files["/a.bin"] = File(CONTENT)
        yield server


def serve(server: FileServer, *faults: Fault, content: bytes = CONTENT, etag: str | None = '"1"') -> str:
    """The URL of a file whose first requests go wrong in these ways."""
    server.files["/a.bin"] = File(content, etag)
    server.files["/a.bin"].faults.extend(faults)
    return server.url("/a.bin")


# What is here, and what is asked for


def test_a_file_is_read_only_under_its_own_name_and_found_by_its_content(user: User, server: FileServer) -> None:
    found = user.fetch(server.url("/a.bin"))
    digest = blake3(CONTENT).hexdigest()
    assert found == Fetched(user.directory / "objects" / digest / "a.bin", digest)
    assert found.path.read_bytes() == CONTENT
    assert found.path.stat().st_mode & 0o777 == 0o444
    assert user.partials == []


@pytest.mark.parametrize("algorithm", ["sha256", "blake3"])
def test_a_file_with_a_checksum_is_asked_for_once(user: User, server: FileServer, algorithm: str) -> None:
    digest = {"sha256": sha256(CONTENT), "blake3": blake3(CONTENT).hexdigest()}[algorithm]
    given: dict[str, Any] = {algorithm: digest}
    spelled: dict[str, Any] = {algorithm: f"{algorithm}:{digest.upper()}"}
    first, again = user.fetch(server.url("/a.bin"), **given), user.fetch(server.url("/a.bin"), **spelled)
    elsewhere = user.fetch(server.url("/mirror/b.bin"), **given)
    assert (first.is_cached, again.is_cached, elsewhere.is_cached) == (False, True, True)
    assert (again.path, elsewhere.path) == (first.path, first.path.with_name("b.bin"))
    assert len(server.asked) == 1


def test_a_file_that_was_fetched_without_a_checksum_is_found_by_one(user: User, server: FileServer) -> None:
    user.fetch(server.url("/a.bin"))
    assert user.fetch(server.url("/a.bin"), sha256=sha256(CONTENT)).is_cached
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("file", "condition"),
    [
        (File(CONTENT, '"1"'), ('"1"', None)),
        (File(CONTENT, 'W/"1"'), ('W/"1"', None)),
        (File(CONTENT, None, LONG_AGO), (None, LONG_AGO)),
        (File(CONTENT, '"1"', LONG_AGO), ('"1"', LONG_AGO)),
    ],
)
def test_without_a_checksum_the_server_says_whether_it_is_the_same(
    user: User, server: FileServer, file: File, condition: tuple[str | None, str | None]
) -> None:
    server.files["/a.bin"] = file
    first, again = user.fetch(server.url("/a.bin")), user.fetch(server.url("/a.bin"))
    assert (again.path, again.is_cached, first.is_cached) == (first.path, True, False)
    assert again.took is not None
    assert server.headers("if-none-match", "if-modified-since") == [(None, None), condition]


def test_a_file_that_changed_is_fetched_anew(user: User, server: FileServer) -> None:
    url = serve(server, content=b"old", etag='"old"')
    assert user.get(url) == b"old"
    serve(server, content=b"new", etag='"new"')
    assert (user.get(url), user.warnings) == (b"new", [])


def test_one_run_asks_once(user: User, server: FileServer) -> None:
    run = user.run()
    first, again = (user.fetch(server.url("/a.bin"), run=run) for _ in range(2))
    assert (again.path, again.is_cached, len(server.asked)) == (first.path, True, 1)


def test_what_is_sent_compressed_stays_so(user: User, server: FileServer) -> None:
    user.get(server.url("/a.bin"))
    assert server.headers("accept-encoding") == [("identity",)]


def test_of_one_content_there_is_one_file_whatever_its_names(user: User, server: FileServer) -> None:
    server.files["/b.bin"] = server.files["/a.bin"]
    for name in ("/a.bin", "/b.bin"):
        user.get(server.url(name), sha256=sha256(CONTENT))
    assert len({path.stat().st_ino for path in user.objects}) == 1
    assert len(user.objects) == 2


# Verification


def damage(path: Path, content: bytes) -> None:
    """Change a file behind everyone's back, with its times."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("with_checksum", [True, False])
@pytest.mark.parametrize("content", [CONTENT[:-1], CONTENT[:-1] + b"x", b""])
def test_a_file_that_was_changed_is_never_handed_out(
    user: User, server: FileServer, content: bytes, with_checksum: bool
) -> None:
    sums: dict[str, Any] = {"sha256": sha256(CONTENT)} if with_checksum else {}
    damage(user.fetch(server.url("/a.bin"), **sums).path, content)
    again = user.fetch(server.url("/a.bin"), **sums)
    assert (again.path.read_bytes(), again.is_cached) == (CONTENT, False)
    assert user.warnings == [
        f"the file of {server.url('/a.bin')} in the cache is not what was downloaded, so it is downloaded again"
    ]
    # The server was not told of what was there, or it would have said that it is the same.
    assert server.headers("if-none-match", "range") == [(None, None), (None, None)]


def test_files_that_were_swapped_are_never_handed_out(user: User, server: FileServer) -> None:
    server.files["/b.bin"] = File(b"other", '"2"')
    one, other = user.fetch(server.url("/a.bin")).path, user.fetch(server.url("/b.bin")).path
    content = one.read_bytes()
    damage(one, other.read_bytes())
    damage(other, content)
    assert (user.get(server.url("/a.bin")), user.get(server.url("/b.bin"))) == (CONTENT, b"other")


def test_what_stands_in_the_place_of_a_file_is_never_handed_out(user: User, server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(CONTENT)
    path = user.fetch(server.url("/a.bin")).path
    path.unlink()
    path.symlink_to(tmp_path / "secret")
    again = user.fetch(server.url("/a.bin"))
    assert (again.path.is_symlink(), again.path.read_bytes()) == (False, CONTENT)


def test_another_file_of_the_url_is_left_when_a_checksum_asks_for_a_new_one(user: User, server: FileServer) -> None:
    old = user.fetch(serve(server, content=b"old", etag='"old"')).path
    assert user.get(serve(server), sha256=sha256(CONTENT)) == CONTENT
    assert (old.read_bytes(), user.warnings) == (b"old", [])


@pytest.mark.parametrize("record", ["", "{}", "[1]", '{"version": 1}', "\xff"])
def test_a_broken_record_is_as_none(user: User, server: FileServer, record: str) -> None:
    user.get(server.url("/a.bin"))
    (path,) = (user.directory / "urls").iterdir()
    path.write_text(record)
    assert user.get(server.url("/a.bin")) == CONTENT


def test_a_record_cannot_lead_out_of_the_store(user: User, server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    user.get(server.url("/a.bin"))
    (path,) = (user.directory / "urls").iterdir()
    path.write_text(path.read_text().replace(blake3(CONTENT).hexdigest(), "../.."))
    assert user.fetch(server.url("/a.bin")).path.is_relative_to(user.directory / "objects")
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("fault", [corrupt, cut(HALF)])
def test_what_comes_with_a_wrong_checksum_is_an_error_and_not_kept(
    user: User, server: FileServer, fault: Fault
) -> None:
    url, sent = serve(server, fault), bytes(byte ^ 1 for byte in CONTENT)
    if fault is not corrupt:  # a server without lengths
        server.files["/a.bin"] = File(sent, None)
    error = user.fails(url, sha256=sha256(CONTENT))
    assert (error.message, error.detail, error.hint) == (
        f"the checksum of {url} is wrong",
        (f"expected sha256:{sha256(CONTENT)}", f"got      sha256:{sha256(sent)}"),
        "if the new file is the one that you want, put its checksum into the magnetfile",
    )
    assert (user.objects, user.partials, len(server.asked)) == ([], [], 1)


# Going on


def test_a_transfer_that_is_cut_goes_on_where_it_was(user: User, server: FileServer) -> None:
    url = serve(server, cut(HALF), cut(1000))
    assert user.get(url) == CONTENT
    assert server.headers("range", "if-range") == [
        (None, None),
        (f"bytes={HALF}-", '"1"'),
        (f"bytes={HALF + 1000}-", '"1"'),
    ]
    assert [line for line in user.lines if line.startswith("Going on")] == [
        "Going on after 100.00kB",
        "Going on after 101.00kB",
    ]


def test_what_comes_in_chunks_is_whole_with_the_last_one(user: User, server: FileServer) -> None:
    assert user.get(serve(server, chunked(30_000), chunked())) == CONTENT
    assert user.lines[0].startswith("The connection ended before the file did; trying again")


def test_what_came_in_an_earlier_run_is_not_fetched_again(user: User, server: FileServer) -> None:
    url = serve(server, *[cut(HALF)] * 1, *[cut(0)] * 4)
    error = user.fails(url)
    assert (error.message, error.hint) == (
        f"{url} cannot be downloaded: the connection ended before the file did, 5 times in a row",
        "run it again later: it goes on where it ended, if the server lets it",
    )
    assert user.partials == [HALF]
    server.asked.clear()
    assert user.get(url) == CONTENT
    assert server.headers("range", "if-range") == [(f"bytes={HALF}-", '"1"')]
    assert user.partials == []


def test_a_dated_file_is_gone_on_with_by_its_date(user: User, server: FileServer) -> None:
    server.files["/a.bin"] = File(CONTENT, None, LONG_AGO)
    server.files["/a.bin"].faults.append(cut(HALF))
    assert user.get(server.url("/a.bin")) == CONTENT
    assert server.headers("range", "if-range")[1:] == [(f"bytes={HALF}-", LONG_AGO)]


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_without_a_strong_validator_it_begins_anew(user: User, server: FileServer, etag: str | None) -> None:
    assert user.get(serve(server, cut(HALF), etag=etag)) == CONTENT
    assert server.headers("range", "if-range") == [(None, None), (None, None)]


def test_a_server_that_ignores_ranges_sends_it_from_the_beginning(user: User, server: FileServer) -> None:
    url = serve(server, cut(HALF))
    server.files["/a.bin"].ignores_range = True
    assert user.get(url) == CONTENT
    assert server.headers("range")[1:] == [(f"bytes={HALF}-",)]


def test_a_file_that_changed_meanwhile_is_never_mixed_with_the_old_one(user: User, server: FileServer) -> None:
    new = CONTENT[::-1]

    def change(request: object, file: File) -> None:
        file.content, file.etag = new, '"2"'
        status(503)(request, file)  # type: ignore[arg-type]

    assert user.get(serve(server, cut(HALF), change)) == new


def test_a_server_that_ignores_if_range_is_not_believed(user: User, server: FileServer) -> None:
    new = CONTENT[::-1]

    def mix(request: object, file: File) -> None:
        file.content, file.etag = new, '"2"'
        part = new[HALF:]
        headers = {"Content_Range": f"bytes {HALF}-{len(new) - 1}/{len(new)}", "ETag": '"2"'}
        status(206, **{**headers, "Content_Length": str(len(part))})(request, file)  # type: ignore[arg-type]
        request.wfile.write(part)  # type: ignore[attr-defined]

    assert user.get(serve(server, cut(HALF), mix)) == new


def test_where_there_is_nothing_more_it_begins_anew(user: User, server: FileServer) -> None:
    """416, as the file got shorter."""
    url = serve(server, cut(HALF), status(416))
    assert user.get(url) == CONTENT
    assert server.headers("range") == [(None,), (f"bytes={HALF}-",), (None,)]


@pytest.mark.parametrize("change", ["truncated", "corrupted", "longer", "gone", "unnoted"])
def test_a_part_is_gone_on_with_as_far_as_it_is_what_came(user: User, server: FileServer, change: str) -> None:
    url = serve(server, cut(HALF), *[cut(0)] * 4)
    user.fails(url)
    (path,) = (one for one in user.directory.glob("partial/*") if one.suffix != ".json")
    content = path.read_bytes()
    if change == "unnoted":
        path.with_name(f"{path.name}.json").unlink()
    elif change == "gone":
        path.unlink()
    else:
        path.write_bytes({"truncated": content[:-1], "corrupted": b"x" + content[1:], "longer": content + b"x"}[change])
    server.asked.clear()
    assert user.get(url) == CONTENT
    assert server.headers("range") == [(f"bytes={HALF}-",) if change == "longer" else (None,)]


def test_parts_that_do_not_make_the_file_are_fetched_once_more_as_a_whole(user: User, server: FileServer) -> None:
    url = serve(server, cut(HALF), corrupt)
    assert user.get(url, sha256=sha256(CONTENT)) == CONTENT
    assert server.headers("range") == [(None,), (f"bytes={HALF}-",), (None,)]
    assert user.lines[-1] == "The parts do not make the file of that checksum; it is downloaded as a whole"


def test_parts_that_never_make_the_file_are_an_error(user: User, server: FileServer) -> None:
    url = serve(server, *[cut(HALF), corrupt] * 5)
    assert user.fails(url, sha256=sha256(CONTENT)).message == f"the checksum of {url} is wrong"
    assert (len(server.asked), user.objects, user.partials) == (4, [], [])


# Another try


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(user: User, server: FileServer, code: int) -> None:
    assert user.get(serve(server, status(code), status(code))) == CONTENT
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("code", "said", "hint"),
    [
        (400, "400 Bad Request", None),
        (401, "401 Unauthorized", "put the credentials for this host into ~/.netrc"),
        (403, "403 Forbidden", "see whether the URL is right"),
        (404, "404 Not Found", "see whether the URL is right"),
        (410, "410 Gone", "see whether the file has another URL now"),
        (501, "501 Not Implemented", None),
        (204, "204 No Content", None),
    ],
)
def test_a_lasting_failure_is_not(user: User, server: FileServer, code: int, said: str, hint: str | None) -> None:
    url = serve(server, status(code))
    error = user.fails(url)
    assert error.message == f"{url} cannot be downloaded: the server says {said}"
    assert (error.hint or "").startswith(hint or "")
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [429, 503])
def test_a_server_that_says_when_is_asked_then(user: User, server: FileServer, code: int) -> None:
    user.patience = Patience(first=1000, longest=1000)  # it would wait for that long by itself
    assert user.get(serve(server, status(code, Retry_After="0"), status(code, Retry_After=LONG_AGO))) == CONTENT
    assert user.lines == [
        f"The server says {said}; trying again in 0.0s"
        for said in [{429: "429 Too Many Requests", 503: "503 Service Unavailable"}[code]] * 2
    ]


def test_a_server_that_wants_to_be_asked_much_later_is_not_waited_for(user: User, server: FileServer) -> None:
    url = serve(server, status(503, Retry_After="3600"))
    assert user.fails(url).message == (
        f"{url} cannot be downloaded: the server says 503 Service Unavailable; it wants to be asked again in 3600 seconds"
    )
    assert len(server.asked) == 1


def test_a_transfer_that_stalls_is_cut_and_goes_on(user: User, server: FileServer) -> None:
    user.patience = Patience(stall=0.3, first=0.001)
    assert user.get(serve(server, stall(HALF))) == CONTENT
    assert server.headers("range")[1:] == [(f"bytes={HALF}-",)]
    assert user.lines[0] == "Nothing came for too long; trying again in 0.0s"


def test_a_connection_that_is_reset_is_tried_again(user: User, server: FileServer) -> None:
    assert user.get(serve(server, reset)) == CONTENT


def test_a_server_that_is_not_there_is_asked_some_times(user: User) -> None:
    with serving() as server:
        url = server.url("/a.bin")
    assert user.fails(url).message == f"{url} cannot be downloaded: connection refused, 5 times in a row"
    assert user.lines == ["Connection refused; trying again in 0.0s"] * 4


def test_a_host_that_is_not_known_is_not_tried_again(user: User) -> None:
    error = user.fails("http://no-such-host.invalid/a")
    assert error.message.startswith("http://no-such-host.invalid/a cannot be downloaded: the name of the host")


def test_a_transfer_that_gets_further_each_time_goes_on_for_as_long(user: User, server: FileServer) -> None:
    assert user.get(serve(server, *[cut(10_000)] * 12)) == CONTENT


def test_a_transfer_that_gets_no_further_ends(user: User, server: FileServer) -> None:
    url = serve(server, *[cut(HALF)] * 9, etag=None)
    assert user.fails(url).message.endswith("the connection ended before the file did, 5 times in a row")
    assert len(server.asked) == 5


# Redirects, credentials, proxies, certificates


def test_redirects_are_followed_and_the_name_is_that_of_the_url(user: User, server: FileServer) -> None:
    server.files["/latest.bin"] = File(b"", faults=serve_all(redirect("/moved"), 2))
    server.files["/moved"] = File(b"", faults=serve_all(redirect("/a.bin?key=secret"), 2))
    first, again = user.fetch(server.url("/latest.bin")), user.fetch(server.url("/latest.bin"))
    assert (first.path.name, first.path.read_bytes(), again.is_cached) == ("latest.bin", CONTENT, True)
    assert "secret" not in str(user.told)


def serve_all(fault: Fault, times: int) -> deque[Fault]:
    return deque([fault] * times)


def test_a_redirect_round_and_round_ends(user: User, server: FileServer) -> None:
    url = serve(server, *[redirect("/a.bin")] * 30)
    assert user.fails(url).message == f"{url} cannot be downloaded: it is redirected more than 10 times"
    assert len(server.asked) == 11


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/a"])
def test_a_redirect_leads_to_a_server_and_to_nothing_else(user: User, server: FileServer, target: str) -> None:
    error = user.fails(serve(server, redirect(target)))
    assert error.message.endswith("cannot be downloaded: a redirect or a proxy has a URL that cannot be used")


def test_credentials_of_the_url_are_sent_and_shown_nowhere(user: User, server: FileServer) -> None:
    serve(server, requiring("me", "p@ss:word"))
    url = server.url("/a.bin", userinfo="me:p%40ss%3Aword@") + "?token=alsosecret#part"
    assert user.get(url) == CONTENT
    server.files.clear()
    error = user.fails(url)
    assert error.message == f"{server.url('/a.bin')}?… cannot be downloaded: the server says 404 Not Found"
    kept = [path.read_text() for path in user.directory.glob("urls/*")]
    for secret in ("p@ss:word", "p%40ss", "alsosecret"):
        assert secret not in f"{user.told}{error.message}{error.detail}{error.hint}{kept}"
    assert user.hidden == ["p@ss:word", "p@ss:word"]


def test_credentials_are_not_carried_to_another_host(user: User, server: FileServer) -> None:
    with serving() as other:
        other.files["/b.bin"] = File(CONTENT)
        serve(server, redirect(other.url("/b.bin", host="localhost")))
        assert user.get(server.url("/a.bin", userinfo="me:password@")) == CONTENT
        assert [one[0] is None for one in server.headers("authorization")] == [False]
        assert other.headers("authorization") == [(None,)]


def test_credentials_of_netrc_are_sent_and_shown_nowhere(
    user: User, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password fromnetrc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert user.get(serve(server, requiring("me", "fromnetrc"))) == CONTENT
    assert user.hidden == ["fromnetrc"]
    serve(server, requiring("you", "fromurl"))
    assert user.get(server.url("/a.bin", userinfo="you:fromurl@")) == CONTENT


def test_a_netrc_that_is_not_understood_is_told_without_what_is_in_it(
    user: User, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1\nlogin me passwort fromnetrc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert user.get(server.url("/a.bin")) == CONTENT
    assert user.warnings == [f"the credentials in {tmp_path}/netrc are not used: line 2 is not understood"]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_a_proxy_is_asked_and_its_password_hidden(
    user: User, server: FileServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    proxy = server.url("", userinfo="me:proxypass@")
    monkeypatch.setenv(name, proxy)
    user.environ = {name: proxy}
    assert user.get("http://files.invalid/a.bin") == CONTENT
    assert server.headers("host", "proxy-authorization")[0][0] == "files.invalid"
    assert user.hidden == ["proxypass"]


def test_a_tunnel_through_a_proxy_is_asked_for_again_where_that_may_help(
    user: User, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", server.url(""))
    user.environ = {"SSL_CERT_FILE": str(CERTIFICATE)}
    with serving(tls=True) as safe:
        safe.files["/a.bin"] = File(CONTENT)
        url = safe.url("/a.bin", host="localhost")
        server.refusals.append(407)
        error = user.fails(url)
        assert error.message == f"{url} cannot be downloaded: the proxy says 407 Proxy Authentication Required"
        assert (error.hint or "").startswith("put the credentials for the proxy into HTTP_PROXY and HTTPS_PROXY")
        server.refusals.append(503)
        assert user.get(url) == CONTENT
        assert [path for path, _ in server.asked] == [f"localhost:{safe.server_port}"] * 3


def test_a_proxy_of_another_kind_is_an_error(user: User, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    error = user.fails(server.url("/a.bin"))
    assert error.message.endswith("cannot be downloaded: a redirect or a proxy has a URL that cannot be used")


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_a_host_without_a_proxy_is_asked_itself(
    user: User, server: FileServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.invalid:3128")
    monkeypatch.setenv(name, "127.0.0.0/8,localhost")
    assert user.get(server.url("/a.bin")) == CONTENT


def test_a_certificate_of_an_authority_that_is_named_is_believed(user: User) -> None:
    with serving(tls=True) as server:
        server.files["/a.bin"] = File(CONTENT)
        user.environ = {"SSL_CERT_FILE": str(CERTIFICATE)}
        assert user.get(server.url("/a.bin", host="localhost")) == CONTENT


def test_a_certificate_that_is_not_valid_is_not_tried_again(user: User) -> None:
    with serving(tls=True) as server:
        url = server.url("/a.bin")
        error = user.fails(url)
        assert error.message.startswith(f"{url} cannot be downloaded: the server's certificate is not valid: self")
        assert error.hint == "if it is of an authority of your own, let SSL_CERT_FILE name a file with its certificate"
        assert (user.lines, server.asked) == ([], [])


def test_nothing_leads_from_https_to_http(user: User, server: FileServer) -> None:
    with serving(tls=True) as safe:
        safe.files["/a.bin"] = File(b"", faults=serve_all(redirect(server.url("/a.bin?key=secret")), 1))
        user.environ = {"SSL_CERT_FILE": str(CERTIFICATE)}
        error = user.fails(safe.url("/a.bin"))
        assert error.message == (
            f"{safe.url('/a.bin')} cannot be downloaded: it is redirected from https to {server.url('/a.bin')}?…, "
            "which is not encrypted"
        )
        assert server.asked == []


def test_a_file_of_certificates_that_is_not_there_is_an_error(user: User, server: FileServer) -> None:
    user.environ = {"SSL_CERT_FILE": "/no/such/file"}
    assert user.fails(server.url("/a.bin")).message.endswith("SSL_CERT_FILE is `/no/such/file`, which does not exist")


# Files of this machine


def test_a_file_of_this_machine_is_copied_and_followed(user: User, tmp_path: Path) -> None:
    file = tmp_path / "ä b.txt"
    file.write_text("one")
    first = user.fetch(file.as_uri())
    assert (first.path.name, first.path.read_text(), first.is_cached) == ("ä b.txt", "one", False)
    assert user.fetch(file.as_uri()).is_cached
    file.write_text("two")
    assert user.get(file.as_uri(), sha256=sha256(b"two")) == b"two"
    file.unlink()
    assert user.get(file.as_uri(), sha256=sha256(b"two")) == b"two"
    assert (
        user.fails(file.as_uri()).message
        == f"file://{tmp_path}/%C3%A4%20b.txt cannot be read: No such file or directory"
    )


def test_a_directory_is_no_file(user: User, tmp_path: Path) -> None:
    assert user.fails(tmp_path.as_uri()).message == f"file://{tmp_path} is not a file"


def test_a_file_of_this_machine_with_another_checksum_is_an_error(user: User, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    assert user.fails((tmp_path / "a").as_uri(), sha256="0" * 64).message.startswith("the checksum of file:///")
    assert (user.objects, user.partials) == ([], [])


# Offline


@pytest.mark.parametrize("with_checksum", [True, False])
def test_offline_what_is_here_is_used_and_nobody_asked(user: User, server: FileServer, with_checksum: bool) -> None:
    sums: dict[str, Any] = {"sha256": sha256(CONTENT)} if with_checksum else {}
    path = user.fetch(server.url("/a.bin"), **sums).path
    assert user.fetch(server.url("/a.bin"), offline=True, **sums).path == path
    damage(path, b"x")
    with pytest.raises(MagnetError) as raised:
        user.fetch(server.url("/a.bin"), offline=True, **sums)
    assert (raised.value.message, raised.value.hint) == (
        f"{server.url('/a.bin')} is not here, and magnet is offline",
        "run it once without --offline and MAGNET_OFFLINE",
    )
    assert user.warnings == [
        f"the file of {server.url('/a.bin')} in the cache is not what was downloaded, and magnet is offline"
    ]
    assert len(server.asked) == 1


def test_offline_a_file_of_this_machine_can_be_had(user: User, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    assert user.fetch((tmp_path / "a").as_uri(), offline=True).path.read_text() == "one"


# Several at once


def test_two_who_want_one_file_share_a_transfer(user: User, server: FileServer) -> None:
    url = serve(server, slowly)
    found: list[Fetched] = []
    runs = user.run(), user.run()
    threads = [threading.Thread(target=lambda run=run: found.append(user.fetch(url, run=run))) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(one.is_cached for one in found) == [False, True]
    assert {one.path.read_bytes() for one in found} == {CONTENT}
    assert (len(server.asked), user.lines) == (1, ["Waiting for another download of it"])


def test_who_waits_goes_on_where_another_failed(user: User, server: FileServer) -> None:
    """With another checksum, which is the one that is right."""
    url = serve(server, slowly)
    errors: list[str] = []

    def fail() -> None:
        with pytest.raises(MagnetError) as raised:
            user.fetch(url, sha256="0" * 64)
        errors.append(raised.value.message)

    thread = threading.Thread(target=fail)
    thread.start()
    while not server.asked:
        thread.join(0.01)
    assert user.get(url, sha256=sha256(CONTENT)) == CONTENT
    thread.join(30)
    assert errors == [f"the checksum of {url} is wrong"]


def test_what_is_not_wanted_any_more_ends_and_is_gone_on_with_later(user: User, server: FileServer) -> None:
    url = serve(server, slowly)
    looks = count()

    def check() -> None:
        if next(looks) > 6:
            raise Canceled

    with pytest.raises(Canceled):
        user.fetch(url, check=check)
    (begun,) = user.partials
    assert 0 < begun < len(CONTENT)
    assert user.get(url) == CONTENT
    assert server.headers("range")[1:] == [(f"bytes={begun}-",)]


def test_who_waits_for_another_try_can_be_ended(user: User, server: FileServer) -> None:
    user.patience = Patience(first=1000, longest=1000)

    def check() -> None:
        if user.lines:
            raise Canceled

    with pytest.raises(Canceled):
        user.fetch(serve(server, status(503)), check=check)


# What is told


def test_how_far_a_transfer_is_is_told_without_what_came_before(user: User, server: FileServer) -> None:
    ticks = count(1)
    user.clock = lambda: next(ticks) * 10**9  # so that each look at it is worth telling
    user.get(serve(server, cut(HALF)))
    statuses = [status for one in user.told for status in one.statuses]
    ended = {one.id: (one.current, one.total) for one in statuses if one.completed}
    assert ended == {
        "transferring": (HALF, len(CONTENT)),
        "transferring after 100.00kB": (HALF, HALF),
    }
    assert all(isinstance(one, VertexStatus) and one.vertex == "d" for one in statuses)


def test_what_is_said_stands_in_the_log_of_the_target(user: User, server: FileServer) -> None:
    user.get(serve(server, status(503)))
    said = [(log.vertex, log.data.decode().rstrip()) for one in user.told for log in one.transcript]
    assert said == [
        ("t", "download"),
        ("t", "The server says 503 Service Unavailable; trying again in 0.0s"),
    ]


# What is no URL


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://u:pw@h/a", "`ftp://h/a` cannot be downloaded: its scheme is none of http, https, file"),
        ("a/b", "`a/b` cannot be downloaded: its scheme is none of http, https, file"),
        ("https:///a", "`https:///a` is no URL of a file"),
        ("http://u:p/w@h/a", "`http://h/a` is no URL: its port is no number"),
        ("http://h/a b", "`http://h/a b` is no URL of a file"),
        ("file://elsewhere/a", "`file://elsewhere/a` is no file of this machine"),
        ("http://[::1/a", "`http://[::1/a` is no URL: its host is none"),
    ],
)
def test_what_is_no_url_is_an_error_without_its_secrets(url: str, message: str) -> None:
    with pytest.raises(MagnetfileError) as raised:
        source(url)
    assert raised.value.message == message


@pytest.mark.parametrize(
    ("sums", "message"),
    [
        ({"sha256": "abc"}, "`abc` is no sha256 checksum"),
        ({"blake3": "x" * 64}, f"`{'x' * 64}` is no blake3 checksum"),
        ({"sha256": f"md5:{'0' * 64}"}, f"`md5:{'0' * 64}` is no sha256 checksum"),
        ({"sha256": "0" * 64, "blake3": "0" * 64}, "both `sha256` and `blake3` are given"),
    ],
)
def test_what_is_no_checksum_is_an_error(sums: dict[str, str], message: str) -> None:
    with pytest.raises(MagnetfileError) as raised:
        checksum(sums.get("sha256"), sums.get("blake3"))
    assert raised.value.message == message
