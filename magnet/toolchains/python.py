"""Python: wheels and tests."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from magnet.errors import CommandFailed
from magnet.toolchains.toolchain import Toolchain, flags, words


class Python(Toolchain):
    """Python, of this machine or of an image. Containers keep what pip fetched and built."""

    name = "python"
    caches = {"PIP_CACHE_DIR": "pip"}
    get = "install Python 3"

    def wheel(
        self,
        source: str | Path | None = None,
        *,
        output: str | Path = "dist",
        isolation: bool = True,
        env: Mapping[str, object] | None = None,
        options: Iterable[str] | str = (),
    ) -> Path:
        """Build the wheel of the project in `cwd`, or in `source`, into a directory, and return its path; pip does it.

        What the project's `[build-system]` requires is fetched for it, or without `isolation` has to be installed: that
        works without a network. In a dry run the directory is returned.
        """
        directory = self.t.project.root / output
        before = _wheels(directory)
        self.exec(
            *("python3", "-m", "pip", "wheel", "--disable-pip-version-check", "--no-deps"),
            *flags(wheel_dir=self.seen(output), no_build_isolation=not isolation),
            # Without the dot, pip takes a directory's name for that of a package to fetch.
            *(*words(options), "." if source is None else f"./{self.seen(source)}"),
            env=env,
            outputs=[output],
        )
        if self.t.is_dry_run:
            return directory
        made = [wheel for wheel, state in _wheels(directory).items() if before.get(wheel) != state]
        if len(made) != 1:
            raise CommandFailed(
                f"pip succeeded, but has made {len(made)} wheels in `{output}`, not one",
                returncode=0,
                detail=[wheel.name for wheel in made],
                hint="see in the log what it made, and where",
            )
        return made[0]

    def test(
        self,
        *arguments: str,
        runner: Literal["pytest", "unittest"] = "pytest",
        env: Mapping[str, object] | None = None,
    ) -> None:
        """Run the project's tests, with further arguments of the runner's."""
        self.exec("python3", "-m", runner, *arguments, env=env)


def _wheels(directory: Path) -> dict[Path, tuple[int, int]]:
    """The wheels in a directory, and what changes when one is written anew."""
    found = {}
    for wheel in sorted(directory.glob("*.whl")):
        state = wheel.stat()
        found[wheel] = (state.st_ino, state.st_mtime_ns)
    return found
