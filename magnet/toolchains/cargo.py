"""Rust: build and test, by cargo."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from magnet.errors import CommandFailed, MagnetfileError
from magnet.toolchains.toolchain import CACHE, Toolchain, flags, words

_TARGET = "target"
_TARGET_HERE = "target-here"
"""Where cargo compiles for `output`, in a container and on this machine: one compiler would undo the other's work."""


class Cargo(Toolchain):
    """Cargo, of this machine or of an image. Containers keep the crates that it fetched, and what it compiled."""

    name = "cargo"
    caches = {"CARGO_HOME": "home/.cargo", "CARGO_TARGET_DIR": _TARGET}
    get = "install Rust (https://rustup.rs)"

    def build(
        self,
        *,
        bin: str | None = None,
        output: str | Path | None = None,
        release: bool = False,
        package: str | None = None,
        features: Iterable[str] | str = (),
        default_features: bool = True,
        target: str | None = None,
        locked: bool = False,
        env: Mapping[str, object] | None = None,
        options: Iterable[str] | str = (),
    ) -> None:
        """Compile the package in `cwd`, or the one that is named; `output` is where its binary `bin` is put.

        `target` is a triple of Rust's. `options` are further ones of `cargo build`.
        """
        if output is not None and bin is None:
            raise MagnetfileError("`output` needs to know of which binary", hint="give its name, too: bin=")
        self.exec(
            *("cargo", "build"),
            *flags(
                release=release, package=package, bin=bin, features=words(features),
                no_default_features=not default_features, target=target, locked=locked,
            ),
            *words(options),
            env={**(env or {}), **self._target_directory(output)},
        )  # fmt: skip
        if output is not None and not self.t.is_dry_run:
            place = _TARGET_HERE if self.image is None else _TARGET
            made = self.cache / place / (target or "") / ("release" if release else "debug") / str(bin)
            _put(made, self.t.project.root / output)

    def test(
        self,
        *arguments: str,
        release: bool = False,
        package: str | None = None,
        features: Iterable[str] | str = (),
        default_features: bool = True,
        locked: bool = False,
        env: Mapping[str, object] | None = None,
        options: Iterable[str] | str = (),
    ) -> None:
        """Run the tests of the package in `cwd`, or of the one that is named; further arguments are the tests' own.

        `options` are further ones of `cargo test`.
        """
        self.exec(
            *("cargo", "test"),
            *flags(
                release=release, package=package, features=words(features), no_default_features=not default_features,
                locked=locked,
            ),
            *(*words(options), *(("--", *arguments) if arguments else ())),
            env=env,
        )  # fmt: skip

    def _target_directory(self, output: str | Path | None) -> Mapping[str, object]:
        """The variable that makes cargo compile where `output` is taken from."""
        if output is None:
            return {}
        return {"CARGO_TARGET_DIR": self.cache / _TARGET_HERE if self.image is None else f"{CACHE}/{_TARGET}"}


def _put(made: Path, output: Path) -> None:
    """Copy what cargo made, at once, for what is at its place may be running."""
    from shutil import copy2

    if not made.exists():
        raise CommandFailed(
            f"`cargo` succeeded, but has not made `{made.name}`",
            returncode=0,
            hint="see in the log what it made; a profile of its own (--profile) goes without `output`",
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    new = output.with_name(f".{output.name}.new")
    copy2(made, new)
    new.replace(output)
