"""Node.js: packages, scripts and tests, by npm."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from magnet.toolchains.toolchain import Toolchain, flags, words


class Node(Toolchain):
    """Node.js and npm, of this machine or of an image. Containers keep the packages that npm fetched."""

    name = "node"
    caches = {"npm_config_cache": "npm"}
    get = "install Node.js (https://nodejs.org)"

    def ci(
        self,
        *,
        omit: Iterable[str] | str = (),
        ignore_scripts: bool = False,
        env: Mapping[str, object] | None = None,
        options: Iterable[str] | str = (),
    ) -> None:
        """Install just what package-lock.json says into node_modules; `omit` leaves out `dev`, `optional` or `peer`."""
        own = flags(omit=words(omit), ignore_scripts=ignore_scripts)
        self.exec("npm", "ci", *own, *words(options), env=env)

    def run(
        self,
        script: str,
        *arguments: str,
        outputs: Iterable[str | Path] | str | Path = (),
        env: Mapping[str, object] | None = None,
    ) -> None:
        """Run a script of package.json; then each of `outputs` must be there."""
        promised = (outputs,) if isinstance(outputs, str | Path) else tuple(outputs)
        self.exec("npm", "run", script, *_handed_on(arguments), env=env, outputs=promised)

    def test(self, *arguments: str, env: Mapping[str, object] | None = None) -> None:
        """Run the script `test` of package.json."""
        self.exec("npm", "test", *_handed_on(arguments), env=env)


def _handed_on(arguments: tuple[str, ...]) -> tuple[str, ...]:
    """Arguments of a script, which npm would take for its own without the dashes."""
    return ("--", *arguments) if arguments else ()
