"""The real program, run in a project of its own on a machine that has only the engines that a test makes."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

TOOLS = ("sh", "echo", "cat", "sleep", "git", "touch", "env", "mkdir", "kill", "true", "false", "pwd", "rm")


@dataclass(frozen=True)
class Result:
    """How a run of magnet ended; what differs from run to run, as times and paths do, is replaced."""

    code: int
    out: str
    err: str


class Program:
    """The program, and what it finds: a project's files, and the programs of PATH."""

    def __init__(self, root: Path, tools: Path) -> None:
        self.root = root
        self.tools = tools
        self.root.mkdir()
        self.tools.mkdir()
        for name in TOOLS:
            found = shutil.which(name)
            assert found, f"this machine has no {name}"
            (self.tools / name).symlink_to(found)

    def write(self, files: Mapping[str, str]) -> None:
        """Write files of the project."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def engine(self, name: str, script: str) -> None:
        """Make a program that is called as an engine is: a shell script."""
        path = self.tools / name
        path.write_text(f"#!/bin/sh\n{script}")
        path.chmod(0o755)

    @property
    def argv(self) -> list[str]:
        """The words that start magnet."""
        return [sys.executable, "-m", "magnet"]

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": str(self.tools),
            "HOME": str(self.root.parent),
            # Else a daemon of this machine would be asked without the docker that a test makes.
            "DOCKER_CONTEXT": "test",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CEILING_DIRECTORIES": str(self.root.parent),
            "LANG": "C.UTF-8",
        }

    def start(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        cwd: str = ".",
        output: Path | None = None,
        ignoring: signal.Signals | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Start magnet; what it prints goes into a pipe each, or all into the file `output`."""

        def settle_signals() -> None:
            # A shell starts what it puts into the background with SIGINT ignored.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if ignoring:
                signal.signal(ignoring, signal.SIG_IGN)

        with output.open("wb") if output else nullcontext(subprocess.PIPE) as file:
            return subprocess.Popen(
                [*self.argv, *words],
                cwd=self.root / cwd,
                env={**self.env, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                preexec_fn=settle_signals,
            )

    def __call__(self, *words: str, env: Mapping[str, str] | None = None, cwd: str = ".") -> Result:
        """Run magnet to its end."""
        process = self.start(*words, env=env, cwd=cwd)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
        return Result(process.returncode, self.settled(out), self.settled(err))

    def git(self, *words: str) -> None:
        """Run git in the project."""
        subprocess.run(["git", *words], cwd=self.root, env=self.env, check=True, timeout=60)

    def log(self, target: str) -> str:
        """The log of a target in the last run, with times and digests replaced."""
        return self.settled((self.root / "_build/logs/latest" / target).read_bytes())

    def settled(self, data: bytes) -> str:
        """What was printed, with what differs from run to run replaced."""
        text = data.decode(errors="backslashreplace").replace(str(self.root), "ROOT")
        for pattern, settled in _SETTLED:
            text = re.sub(pattern, settled, text, flags=re.MULTILINE)
        return text


HEADER = (
    "Logs:    _build/logs/latest (_build/logs/STAMP)\nVersion: v0.0.0-unversioned\nCache:   _build/magnet/project\n"
)
"""What a run says first, in a project without a repository."""

_SETTLED = (
    (r"_build/logs/\d{14}(-\d+)?", "_build/logs/STAMP"),
    (r"blake3:[0-9a-f]{64}", "blake3:DIGEST"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9} \+0000 UTC", "TIME"),
    (r"\b\d+\.\d+s\b", "N.Ns"),
    (r"^(#\d+) \d+\.\d+ ", r"\1 N.N "),
)
