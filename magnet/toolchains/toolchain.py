"""What all toolchains share: where their commands run, what they find there, and what must be there afterwards."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from magnet.errors import CommandFailed, ContainerFailed, MagnetfileError
from magnet.model import EMPTY, Command, Image, Mount, Secret
from magnet.values import frozen, replace

if TYPE_CHECKING:
    from magnet.acting import Words
    from magnet.container import Container
    from magnet.launching import Launching

SOURCES = "/src"
"""Where a container has the project, unless it is told otherwise."""

CACHE = "/cache"
"""Where a container has the toolchain's cache. HOME is in it: of no user of the image's is it known to be writable."""


@frozen(eq=False)
class Toolchain:
    """Programs that make something of a project's files: those of this machine, or with an `image` those in it.

    In a container they find `root`, a directory of the project, at `path`, and the toolchain's cache, which stays from
    one run to the next. All that they write there belongs to the caller, on every engine, rootful or rootless. `cwd` is
    where they work; both are relative to the magnetfile's directory. `relabel` is that of a Mount, for the project's
    files. What else there is to say of the container is as for `t.run`.

    A subclass is a toolchain of one's own. `name` is what its cache is called, `caches` are the variables that tell its
    programs where in it to keep what, `get` is how to come by it on this machine. It has methods that call `exec`, and
    no `__init__`.
    """

    name = "toolchain"
    caches = EMPTY
    get = ""

    t: "Launching"
    image: Image | str | None = None
    root: str | Path | None = None
    cwd: str | Path = "."
    path: str | None = None
    env: Mapping[str, object] | None = None
    network: "str | Container | None" = None
    mounts: Iterable[Mount] = ()
    secrets: Iterable[Secret] = ()
    relabel: Literal["", "shared", "private"] = ""

    def __post_init__(self) -> None:
        if self.image is not None:
            return
        for name in ("root", "path", "network", "mounts", "secrets", "relabel"):
            if getattr(self, name):
                raise MagnetfileError(
                    f"`{name}` is for a container, and `{self.name}` has none",
                    hint="give `image=`, too, or leave it out",
                )

    def __call__(
        self,
        *,
        image: Image | str | None = None,
        root: str | Path | None = None,
        cwd: str | Path | None = None,
        path: str | None = None,
        env: Mapping[str, object] | None = None,
        network: "str | Container | None" = None,
        mounts: Iterable[Mount] | None = None,
        secrets: Iterable[Secret] | None = None,
        relabel: Literal["shared", "private"] | None = None,
    ) -> Self:
        """The same toolchain, with these in place of what it had; what is not given stays."""
        given = {
            "image": image, "root": root, "cwd": cwd, "path": path, "env": env, "network": network,
            "mounts": None if mounts is None else tuple(mounts), "secrets": None if secrets is None else tuple(secrets),
            "relabel": relabel,
        }  # fmt: skip
        return replace(self, **{name: value for name, value in given.items() if value is not None})

    def exec(
        self,
        program: "Words",
        *arguments: "Words",
        env: Mapping[str, object] | None = None,
        outputs: Iterable["Words"] = (),
    ) -> None:
        """Run a program of the toolchain's; then each of `outputs`, files and directories, must be there.

        Paths among the arguments are the program's own, relative to `cwd`; `seen` makes them of the project's. Raises
        CommandFailed, or ContainerFailed in a container, when the exit code is not 0 or an output is missing.
        """
        promised = {str(output): self._here(output) for output in outputs}
        if not self.t.is_dry_run:
            for path in promised.values():
                path.parent.mkdir(parents=True, exist_ok=True)
        if self.image is None:
            self._exec_here(str(program), arguments, env or {})
        else:
            self._exec_in(self.image, str(program), arguments, env or {})
        self._check(str(program), promised)

    def seen(self, path: "Words") -> str:
        """A path of the project, as programs in `cwd` see it: relative, and with the slash at its end, if any."""
        here = self._here(path)
        if self.image is not None and not here.is_relative_to(self._root):
            raise _outside(path, self._root)
        return os.path.relpath(here, self._cwd) + ("/" if str(path).endswith("/") else "")

    @property
    def cache(self) -> Path:
        """The directory on this machine where the toolchain's containers keep what is to stay."""
        return self.t.cache_directory(self.name)

    def prepare(self, home: Path) -> None:
        """Put into HOME of the containers what the toolchain is to find there, if anything."""

    def _exec_here(self, program: str, arguments: Iterable["Words"], env: Mapping[str, object]) -> None:
        given = {name: str(value) for name, value in {**(self.env or {}), **env}.items()}
        if not self.t.is_dry_run and not _is_here(program, self._cwd, given):
            raise CommandFailed(
                f"`{program}` is not an executable program here",
                returncode=127,
                hint=f"{self.get or f'install `{program}`'}, or run it in an image that has it: give `image=`",
            )
        from magnet.programs import Program

        # As in a container, and not as by `t.exec`: no variables are replaced, as by none of the tools.
        command = Command((program, *map(str, arguments)), given)
        place = "" if self._cwd == self._here(".") else str(self.cwd)
        self.t.run_program(Program(command, self._cwd, place))

    def _exec_in(
        self, image: Image | str, program: str, arguments: Iterable["Words"], env: Mapping[str, object]
    ) -> None:
        path = self.path or SOURCES
        own = {"HOME": f"{CACHE}/home", **{name: f"{CACHE}/{place}" for name, place in self.caches.items()}}
        cache = self.cache
        home = cache / "home"
        home.mkdir(exist_ok=True)
        self.prepare(home)
        try:
            self.t.run(
                image,
                program,
                *arguments,
                user="host",
                mounts=(
                    Mount(self._root, path, relabel=self.relabel),
                    Mount(cache, CACHE, relabel=self.relabel),
                    *self.mounts,
                ),
                env={**own, **(self.env or {}), **env},
                secrets=self.secrets,
                workdir=os.path.normpath(f"{path}/{self._below_root()}"),
                network=self.network,
            )
        except ContainerFailed as error:
            if error.returncode != _NO_PROGRAM:
                raise
            hint = f"choose an image that has `{program}` on its PATH, or add its directory with env={{'PATH': ...}}"
            raise ContainerFailed(error.message, returncode=error.returncode, detail=error.detail, hint=hint) from error

    def _below_root(self) -> Path:
        """The working directory, as it is in the container below the project's."""
        if not self._cwd.is_dir():
            raise MagnetfileError(f"the working directory `{self.cwd}` is not a directory")
        if not self._cwd.is_relative_to(self._root):
            raise _outside(self.cwd, self._root)
        return self._cwd.relative_to(self._root)

    def _check(self, program: str, promised: Mapping[str, Path]) -> None:
        if self.t.is_dry_run:
            return
        for output, path in promised.items():
            if not os.path.lexists(path):
                raise CommandFailed(
                    f"`{program}` succeeded, but has not made `{output}`",
                    returncode=0,
                    hint="see in the log what it made, and where",
                )

    @property
    def _root(self) -> Path:
        return self._here(self.root or ".").resolve()

    @property
    def _cwd(self) -> Path:
        return self._here(self.cwd).resolve()

    def _here(self, path: "Words") -> Path:
        """Where a path of the project is on this machine."""
        return Path(os.path.abspath(self.t.project.root.resolve() / os.path.expanduser(path)))


_NO_PROGRAM = 127
"""The exit code of containers whose program is not there, and of shells that cannot find one."""


def words(given: Iterable[str] | str) -> tuple[str, ...]:
    """One word or several as a tuple.

    >>> words("one"), words(["one", "two"])
    (('one',), ('one', 'two'))
    """
    return (given,) if isinstance(given, str) else tuple(given)


def flags(**given: object) -> tuple[str, ...]:
    """Options of those that are given: `--name` for True, `--name=value` for a value, as many as it is a tuple of.

    >>> flags(release=True, locked=False, package=None, features=("a", "b"), no_deps=True)
    ('--release', '--features=a', '--features=b', '--no-deps')
    """
    found: list[str] = []
    for name, value in given.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            found.append(option)
        elif value is not None and value is not False:
            found += [f"{option}={one}" for one in (value if isinstance(value, tuple) else (value,))]
    return tuple(found)


def _is_here(program: str, cwd: Path, env: Mapping[str, str]) -> bool:
    from shutil import which

    if "/" in program:
        return which(cwd / program) is not None
    return which(program, path=env.get("PATH", os.environ.get("PATH", os.defpath))) is not None


def _outside(path: "Words", root: Path) -> MagnetfileError:
    return MagnetfileError(
        f"`{path}` is not in `{root}`, which is all that the container sees of this machine",
        hint="give a `root=` that has both in it",
    )
