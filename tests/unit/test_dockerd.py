"""What docker's daemon is asked on its socket, and when the client is asked instead."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from magnet.backends import choose, dockerd
from magnet.backends.docker import Docker
from magnet.errors import EngineError
from magnet.model import Image

ID = "sha256:" + "ab" * 32
INSPECTED = {"Id": ID, "Os": "linux", "Architecture": "amd64", "Config": {"OnBuild": ["RUN x"]}}
VERSION = {"Components": [{"Name": "Engine"}]}

Replies = Mapping[str, tuple[int, Any]]
"""For each path a status and a body; what is not in it is not found."""


@contextmanager
def daemon(replies: Replies, paths: list[str]) -> Iterator[str]:
    """A daemon that replies so, as HTTP/1.0 has it; it notes the paths that it is asked for."""
    # Not below pytest's own directory, whose name may be longer than that of a socket can be.
    with TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{directory}/docker.sock")
        listening.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    path = connection.recv(4096).split()[1].decode()
                    paths.append(path)
                    status, body = replies.get(path, (404, {"message": "No such image"}))
                    content = body if isinstance(body, bytes) else json.dumps(body).encode()
                    connection.sendall(b"HTTP/1.0 %d Some Words\r\nA: b\r\n\r\n%s" % (status, content))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"{directory}/docker.sock"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """A PATH with a client that knows one image, and a function that gives what it was asked for."""
    script = f"""#!/bin/sh
echo "$*" >> {tmp_path}/calls
case $1 in
version) echo '{{"Client": {{"Version": "20.10"}}, "Server": {{"Version": "20.10"}}}}' ;;
info) echo '{{}}' ;;
image) echo '{json.dumps(INSPECTED)}' ;;
esac
"""
    (tmp_path / "docker").write_text(script)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_BUILDKIT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def calls() -> list[str]:
        asked = tmp_path / "calls"
        return [line.split()[0] for line in asked.read_text().splitlines()] if asked.exists() else []

    return calls


def looked_at(*names: str) -> Mapping[str, Image | None]:
    with choose("docker").asking(names) as answers:
        return answers()


def test_images_are_asked_of_the_daemon_alone(client: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    paths: list[str] = []
    with daemon({"/version": (200, VERSION), "/images/localhost:1/a:2/json": (200, INSPECTED)}, paths) as where:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{where}")
        assert looked_at("localhost:1/a:2", "no such") == {
            "localhost:1/a:2": Image(ID, has_triggers=True),
            "no such": None,
        }
    assert paths == ["/version", "/images/localhost:1/a:2/json", "/images/no%20such/json"]
    assert client() == []


def test_a_daemon_that_answers_is_found_without_the_client(
    client: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with daemon({"/version": (200, VERSION)}, []) as where:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{where}")
        assert isinstance(choose(None), Docker)
        assert client() == []
        os.unlink(f"{os.environ['PATH']}/docker")
        with pytest.raises(EngineError, match="docker is not installed"):
            Docker.find()


@pytest.mark.parametrize(
    "replies",
    [
        {"/version": (500, {})},
        {"/version": (200, VERSION), "/images/a/json": (500, {"message": "no space"})},
        {"/version": (200, VERSION), "/images/a/json": (301, {})},
    ],
    ids=["broken", "broken later", "moved"],
)
def test_the_client_is_asked_where_the_daemon_cannot_say(
    replies: Replies, client: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with daemon(replies, []) as where:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{where}")
        assert looked_at("a") == {"a": Image(ID, has_triggers=True)}
    assert client()[-1] == "image"


def test_the_client_is_probed_and_asked_where_no_daemon_is_reached(
    client: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nosuch")
    assert looked_at("a") == {"a": Image(ID, has_triggers=True)}
    assert client() == ["version", "info", "image"]


def test_podman_on_dockers_socket_is_refused(client: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    with daemon({"/version": (200, {"Components": [{"Name": "Podman Engine"}]})}, []) as where:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{where}")
        for ask in (lambda: looked_at("a"), Docker.find):
            with pytest.raises(EngineError, match="the docker client here talks to podman, not to a docker daemon"):
                ask()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", {"Id": "x"}, {"Components": [{"Name": 1}]}])
def test_an_answer_that_is_not_understood_is_said_to_be_that(
    body: Any, client: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_version = body == {"Components": [{"Name": 1}]}
    replies: Replies = {"/version": (200, body if is_version else VERSION), "/images/a/json": (200, body)}
    with daemon(replies, []) as where:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{where}")
        with pytest.raises(
            EngineError, match=r"docker gave an answer that magnet does not understand|is not an image id"
        ):
            looked_at("a")


@pytest.mark.parametrize(
    ("environ", "config", "expected"),
    [
        ({"DOCKER_HOST": "unix:///run/x.sock"}, None, "/run/x.sock"),
        ({"DOCKER_HOST": "unix:///run/x.sock", "DOCKER_CONTEXT": "far"}, None, "/run/x.sock"),
        ({"DOCKER_HOST": "tcp://far:2376"}, None, None),
        ({"DOCKER_HOST": "ssh://far"}, None, None),
        ({"DOCKER_HOST": "npipe:////./pipe"}, None, None),
        ({"DOCKER_HOST": "unix://x.sock"}, None, None),
        ({"DOCKER_HOST": ""}, None, dockerd.SOCKET),
        ({}, None, dockerd.SOCKET),
        ({}, "{}", dockerd.SOCKET),
        ({}, '{"currentContext": "default"}', dockerd.SOCKET),
        ({}, '{"currentContext": "far"}', None),
        ({}, "[]", None),
        ({}, "{", None),
        ({"DOCKER_CONTEXT": "far"}, None, None),
    ],
)
def test_only_a_local_socket_that_is_told_plainly_is_asked(
    environ: Mapping[str, str], config: str | None, expected: str | None, tmp_path: Path
) -> None:
    (tmp_path / ".docker").mkdir()
    if config is not None:
        (tmp_path / ".docker/config.json").write_text(config)
    assert dockerd.find_socket({"HOME": str(tmp_path), **environ}) == expected
    moved = {"HOME": "/nosuch", "DOCKER_CONFIG": str(tmp_path / ".docker"), **environ}
    assert dockerd.find_socket(moved) == expected


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.0", b"HTTP/1.0 ok fine\r\n\r\n", b"\xff\xff"])
def test_what_is_no_http_is_no_answer(reply: bytes) -> None:
    with TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{directory}/s")
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        assert dockerd.get("/version", f"{directory}/s") is None
        thread.join()
