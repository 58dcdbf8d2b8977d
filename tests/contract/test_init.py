"""What `magnet init` writes for a Dockerfile and a compose file builds, runs and starts on the engines."""

import pytest

from tests.contract.engines import Magnet, columns

COLUMNS = [column for column in columns() if column.name == column.backend]

DOCKERFILE = """\
ARG BASE
FROM ${BASE} AS first
ARG GREETING=hello
ENV GREETING=${GREETING}
FROM first
CMD ["sh", "-c", "echo $GREETING from the image"]
"""

COMPOSE = """\
services:
  web:
    build: {context: ., target: first, args: {BASE: "$BASE", GREETING: "${WORD:-hi}"}}
  db:
    image: ${BASE}
    command: [sh, -c, "echo \\"$$WHO\\" > /tmp/ready; sleep 60"]
    environment: {WHO: "${WHO:-it is me}"}
    healthcheck: {test: grep -q 'it is me' /tmp/ready}
    volumes: [./:/here:ro]
"""

MORE = """

@target
def ask(t: T) -> None:
    started = t.need(db)
    started.wait_healthy()
    t.output(started.exec("ls", "/here/compose.yaml").output)
"""


def init(magnet: Magnet) -> None:
    assert magnet.ok("init").endswith(b"Wrote magnetfile.py. Next:\n\n  magnet --list\n  magnet build\n")


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name, indirect=True)
def test_a_dockerfile_is_built_and_run(magnet: Magnet, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASE", base)
    magnet.write({"Dockerfile": DOCKERFILE})
    init(magnet)
    assert magnet.ok("run") == b"hello from the image\n"
    monkeypatch.setenv("GREETING", "good day")
    assert magnet.ok("build", "--stage", "first", "run") == b"good day from the image\n"
    assert magnet.ok("run", "echo", "another") == b"another\n"


@pytest.mark.parametrize(
    "column", [one for one in COLUMNS if one.backend != "buildah"], ids=lambda one: one.name, indirect=True
)
def test_services_are_built_and_started(magnet: Magnet, base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASE", base)
    magnet.write({"Dockerfile": DOCKERFILE, "compose.yaml": COMPOSE})
    init(magnet)
    magnet.ok("web")
    path = magnet.root / "magnetfile.py"
    path.write_text(path.read_text() + MORE)
    assert magnet.ok("ask") == b"/here/compose.yaml\n\n"
    assert magnet.containers("db") == []
