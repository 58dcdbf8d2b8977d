"""What is told of a run when it is over: --summary, --trace, --timeline."""

import json
import os
import re
import signal
import xml.etree.ElementTree as ET

import pytest

from tests.cli.program import Program, Result
from tests.cli.test_logs_command import wait_for

MAGNETFILE = """from magnet import target


@target
def lint(t):
    t.exec("sleep", "0.2")


@target(inputs=["in"], outputs=["out"])
def make(t):
    t.exec("sh", "-c", "sleep 0.3; cat in >out")


@target(needs=[lint, make])
def app(t):
    t.exec("sleep", "0.1")


@target
def wait(t):
    t.exec("sh", "-c", "touch begun; sleep 60")
"""

OPTIONS = ("--trace", "--timeline")


def test_a_run_is_told_of_in_all_ways(magnet: Program) -> None:
    magnet.write({"magnetfile.py": MAGNETFILE, "in": "x", "sub/file": ""})
    assert magnet("make").code == 0
    (magnet.root / "link.json").symlink_to("sub/trace.json")
    words = ("-j1", "--summary", "--trace=link.json", "--timeline", "sub/run.svg", "app")
    done = magnet(*words)
    assert (done.code, done.out) == (0, "")
    _, _, told = done.err.partition("Slowest targets:\n")
    lines = [" ".join(line.split()) for line in told.splitlines()]
    # What is put back is shown, too, where it takes long enough.
    assert sorted(line for line in lines if not line.startswith("CACHED ")) == [
        "Cached: 1 of 3 targets; N.Ns saved",
        "app N.Ns of N.Ns",
        "lint N.Ns",
    ]
    assert sorted(os.listdir(magnet.root / "sub")) == ["file", "run.svg", "trace.json"]
    events = json.loads((magnet.root / "link.json").read_text())["traceEvents"]
    found = {one["name"]: one["args"] for one in events if one["ph"] == "X"}
    assert {name: (about["cached"], about["inputs"]) for name, about in found.items()} == {
        "app": (False, ["lint", "make"]),
        "lint": (False, []),
        "make": (True, []),
    }
    assert 300_000 < found["make"]["took"] < 30_000_000
    picture = ET.parse(magnet.root / "sub/run.svg").getroot()
    titles = [one.text or "" for one in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert sorted(title.partition(":")[0] for title in titles) == ["app", "lint", "make"]


def test_an_interrupted_run_is_told_of_too(magnet: Program) -> None:
    magnet.write({"magnetfile.py": MAGNETFILE})
    process = magnet.start("--trace", "trace.json", "--timeline", "run.svg", "wait")
    wait_for((magnet.root / "begun").exists)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    (event,) = (one for one in json.loads((magnet.root / "trace.json").read_text())["traceEvents"] if one["ph"] == "X")
    assert (event["name"], event["args"]["canceled"]) == ("wait", True)
    ET.parse(magnet.root / "run.svg")


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("-", "{option} writes a file, and not to stdout\nhint: name a file, as in `{option} FILE`\n"),
        ("no/file", "{option} no/file: there is no directory `ROOT/no`\nhint: make it first\n"),
        ("sub", "{option} sub: it is no regular file\nhint: name a file that may be overwritten\n"),
        ("/dev/null", "{option} /dev/null: it is no regular file\nhint: name a file that may be overwritten\n"),
        ("/proc/x", "{option} /proc/x: it cannot be written: WHY\nhint: name another file\n"),
    ],
)
def test_a_file_that_cannot_be_written_is_an_error_before_anything_runs(
    magnet: Program, option: str, path: str, error: str
) -> None:
    magnet.write({"magnetfile.py": MAGNETFILE, "sub/file": ""})
    # One word, as click takes `-` for a value and `read_plain` leaves it to click.
    done = magnet(f"{option}={path}", "lint")
    told = re.sub("cannot be written: .*", "cannot be written: WHY", done.err)  # it is another one for root
    assert (done.code, done.out, told) == (2, "", f"error: {error.format(option=option)}")
    assert not (magnet.root / "_build").exists()


@pytest.mark.parametrize("option", ["--summary", "--trace=x", "--timeline=x"])
def test_where_nothing_is_run_nothing_is_told(magnet: Program, option: str) -> None:
    magnet.write({"magnetfile.py": MAGNETFILE, "in": ""})
    for other in ("--dry-run", "--explain", "--files"):
        assert magnet(option, other, "make") == Result(
            2,
            "",
            "error: --summary, --trace and --timeline are about a run, and nothing is run here\nhint: leave them out\n",
        )
    name = option.partition("=")[0]
    assert magnet(option, "logs") == Result(2, "", f"error: `{name}` is about targets, and `logs` is none\n")
