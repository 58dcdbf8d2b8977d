import re
import shutil
import time
from pathlib import Path

from magnet.readers.rawjson import RawJSONReader
from tests.contract.engines import Magnet, Result
from tests.fixtures.engine_output import outline

# Both streams of a build, as the engine prints them, are kept beside what is handed on.
TEE = """\
#!/bin/bash
[[ " $* " == *" build "* ]] || exec {program} "$@"
set -o pipefail
{{ {program} "$@" 2>&1 >&3 3>&- | tee {out}.2 >&2; }} 3>&1 | tee {out}.1
"""


def steps(result: Result) -> list[tuple[str, str, str]]:
    """The steps that a run tells of, as far as all engines have them; see there for what they have not in common."""
    reader = RawJSONReader(outline.TARGET, 1)
    now = time.time_ns()
    return outline.steps(outline.folded([reader.read(1, result.out, now), reader.end(now)]))


def test_every_engine_tells_the_same_steps_what_they_printed_and_what_became_of_them(
    magnet: Magnet, base: str, tag: str
) -> None:
    first = f"RUN echo {tag}"
    lines = [
        f"FROM {base} AS builder",
        "ENV A=b",
        first,
        f"FROM {base}",
        "COPY f /",
        "COPY --from=builder /bin/true /t",
    ]
    magnet.write({"Dockerfile": "\n".join([*lines, "RUN printf last"]), "f": tag})
    assert steps(magnet("--progress=rawjson", "build")) == [
        (f"builder {first}", "", tag),
        ("stage-1 COPY --from=builder /bin/true /t", "", ""),
        ("stage-1 COPY f /", "", ""),
        ("stage-1 RUN printf last", "", "last"),
    ]
    magnet.write({"Dockerfile": "\n".join([*lines, "RUN echo bad; exit 3", "RUN echo never"])})
    result = magnet("--progress=rawjson", "build")
    assert steps(result) == [
        (f"builder {first}", "CACHED", ""),
        ("stage-1 COPY --from=builder /bin/true /t", "CACHED", ""),
        ("stage-1 COPY f /", "CACHED", ""),
        ("stage-1 RUN echo bad; exit 3", "ERROR exit code: 3", "bad"),
    ]
    assert "\n   7 | >>> RUN echo bad; exit 3\n" in result.err


def test_the_log_holds_what_the_engine_printed(magnet: Magnet, base: str, tag: str, tmp_path: Path) -> None:
    program = shutil.which(magnet.column.backend, path=magnet.env["PATH"])
    assert program
    shim = tmp_path / "bin" / magnet.column.backend
    magnet.write({"Dockerfile": f"FROM {base}\nRUN echo {tag}; echo err >&2\nRUN printf last\n", "bin/x": ""})
    shim.write_text(TEE.format(program=program, out=tmp_path / "printed"))
    shim.chmod(0o755)
    Magnet(magnet.column, magnet.root, shim.parent).ok("build")
    out, err = ((tmp_path / f"printed.{stream}").read_text().splitlines() for stream in (1, 2))
    command, *body = magnet.log("build").split("\n-----\n")[1].splitlines()
    assert "Exec:  " in command
    # The next command gives the image the names that magnet knows it by.
    body = body[: next(number for number, line in enumerate(body) if "Exec:  " in line)]
    if magnet.column.has_buildx:
        # Events are for programs; in the log are the lines that the client would print.
        logged = [line for line in body if re.fullmatch(rf"#\d+ \d+\.\d+ ({tag}|err|last)", line)]
        assert (len(logged), [line for line in body if line.startswith(("{", "}", " "))]) == (3, [])
    else:
        # An empty line may be of either.
        assert [line for line in body if line in out and line] == [line for line in out if line]
        assert [line for line in body if line in err and line] == [line for line in err if line]
        assert len(body) == len(out) + len(err)
