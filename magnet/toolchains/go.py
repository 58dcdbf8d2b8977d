"""Go: build, test and coverage."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from magnet.errors import MagnetfileError
from magnet.model import Platform
from magnet.toolchains.toolchain import Toolchain, words
from magnet.values import frozen, replace

GOPATH = "/go"
"""The GOPATH of a container in which the project has its place in one."""

CoverMode = Literal["set", "count", "atomic"]
"""What coverage tells of a statement: whether it ran, how often, or how often where goroutines run at once."""


@frozen
class Flags:
    """What `go build` and `go test` have in common; `go help build` tells what each is.

    Several `ldflags` or `gcflags` are joined by blanks, so that each may hold several words itself.
    """

    ldflags: Iterable[str] | str = ()
    gcflags: Iterable[str] | str = ()
    tags: Iterable[str] | str = ()
    race: bool = False
    trimpath: bool = False
    mod: str | None = None
    buildmode: str | None = None
    rebuild: bool = False
    parallel: int | None = None
    verbose: bool = False
    options: Iterable[str] | str = ()

    def argv(self) -> list[str]:
        """The options of the command."""
        values = {
            "-ldflags": " ".join(words(self.ldflags)),
            "-gcflags": " ".join(words(self.gcflags)),
            "-tags": ",".join(words(self.tags)),
            "-mod": self.mod,
            "-buildmode": self.buildmode,
            "-p": self.parallel,
        }
        switches = {"-a": self.rebuild, "-race": self.race, "-trimpath": self.trimpath, "-v": self.verbose}
        return [*_given(values, switches), *words(self.options)]


class Go(Toolchain):
    """Go with modules, of this machine or of an image; `gopath` is for what has none.

    Containers keep what they compiled and the modules that they fetched; on this machine Go's own caches are used.
    """

    name = "go"
    caches = {"GOCACHE": "build", "GOMODCACHE": "mod"}
    get = "install Go (https://go.dev/doc/install)"

    def gopath(self, import_path: str) -> "Go":
        """The same without modules, with the project at its place in a GOPATH, `src/<import_path>`.

        A container gets it there, below /go. On this machine it has to be there.
        """
        place = f"src/{import_path}"
        if self.image is not None:
            own = {"GO111MODULE": "off", "GOPATH": GOPATH}
            return replace(self, path=f"{GOPATH}/{place}", env={**own, **(self.env or {})})
        root = str(self.t.project.root)
        if not root.endswith(f"/{place}"):
            raise MagnetfileError(
                f"`{root}` is not at `{place}` of a GOPATH",
                hint="move it there, or build in a container, which has it there: give `image=`",
            )
        own = {"GO111MODULE": "off", "GOPATH": root.removesuffix(f"/{place}")}
        return replace(self, env={**own, **(self.env or {})})

    def build(
        self,
        *packages: str,
        output: str | Path | None = None,
        ldflags: Iterable[str] | str = (),
        gcflags: Iterable[str] | str = (),
        tags: Iterable[str] | str = (),
        race: bool = False,
        trimpath: bool = True,
        mod: str | None = None,
        buildmode: str | None = None,
        rebuild: bool = False,
        parallel: int | None = None,
        verbose: bool = False,
        os: str | None = None,
        arch: str | None = None,
        platform: str | None = None,
        cgo: bool | None = None,
        env: Mapping[str, object] | None = None,
        options: Iterable[str] | str = (),
    ) -> None:
        """Compile packages, the one in `cwd` if none is named, into `output`, a file, or a directory with a `/`.

        `os` and `arch`, or an OCI `platform`, say what for. `options` are further ones of `go build`.
        """
        given = Flags(
            ldflags=ldflags, gcflags=gcflags, tags=tags, race=race, trimpath=trimpath, mod=mod, buildmode=buildmode,
            rebuild=rebuild, parallel=parallel, verbose=verbose, options=options,
        )  # fmt: skip
        result = [] if output is None else [f"-o={self.seen(output)}"]
        self.exec(
            *("go", "build", *given.argv(), *result, *packages),
            env={**(env or {}), **variables(os=os, arch=arch, platform=platform, cgo=cgo)},
            outputs=[] if output is None else [output],
        )

    def test(
        self,
        *packages: str,
        run: str | None = None,
        short: bool = False,
        timeout: str | None = None,
        count: int | None = None,
        failfast: bool = False,
        cover: bool = False,
        coverprofile: str | Path | None = None,
        covermode: CoverMode | None = None,
        coverpkg: Iterable[str] | str = (),
        ldflags: Iterable[str] | str = (),
        gcflags: Iterable[str] | str = (),
        tags: Iterable[str] | str = (),
        race: bool = False,
        trimpath: bool = False,
        mod: str | None = None,
        rebuild: bool = False,
        parallel: int | None = None,
        verbose: bool = False,
        cgo: bool | None = None,
        env: Mapping[str, object] | None = None,
        options: Iterable[str] | str = (),
    ) -> None:
        """Run the tests of packages, of the one in `cwd` if none is named.

        Go does not run again what succeeded before and of which nothing changed; `count=1` makes it. `timeout` is as in
        `10m`. `options` are further ones of `go test`.
        """
        given = Flags(
            ldflags=ldflags, gcflags=gcflags, tags=tags, race=race, trimpath=trimpath, mod=mod, rebuild=rebuild,
            parallel=parallel, verbose=verbose, options=options,
        )  # fmt: skip
        values = {
            "-run": run,
            "-timeout": timeout,
            "-count": count,
            "-coverprofile": None if coverprofile is None else self.seen(coverprofile),
            "-covermode": covermode,
            "-coverpkg": ",".join(words(coverpkg)),
        }
        own = _given(values, {"-short": short, "-failfast": failfast, "-cover": cover})
        self.exec(
            *("go", "test", *own, *given.argv(), *packages),
            env={**(env or {}), **variables(cgo=cgo)},
            outputs=[] if coverprofile is None else [coverprofile],
        )

    def cover(
        self,
        *packages: str,
        profile: str | Path = "coverage.out",
        html: str | Path | None = None,
        mode: CoverMode | None = None,
        coverpkg: Iterable[str] | str = (),
        tags: Iterable[str] | str = (),
        race: bool = False,
        mod: str | None = None,
        env: Mapping[str, object] | None = None,
        options: Iterable[str] | str = (),
    ) -> None:
        """Show what the tests of packages cover: by function in the log, or line by line in a page, `html`.

        The tests are run, and write `profile`. Without packages it is one that `test(coverprofile=)` has written.
        """
        if packages:
            self.test(
                *packages, coverprofile=profile, covermode=mode, coverpkg=coverpkg, tags=tags, race=race, mod=mod,
                env=env, options=options,
            )  # fmt: skip
        shown = self.seen(profile)
        if html is None:
            self.exec("go", "tool", "cover", f"-func={shown}", env=env)
        else:
            self.exec(
                *("go", "tool", "cover", f"-html={shown}", "-o", self.seen(html)),
                env=env,
                outputs=[html],
            )

    def prepare(self, home: Path) -> None:
        """Let the caller remove modules: Go makes their directories read-only. Variables of the image go before."""
        settings = home / ".config/go/env"
        if not settings.exists():
            settings.parent.mkdir(parents=True, exist_ok=True)
            settings.write_text("GOFLAGS=-modcacherw\n")


def variables(
    *, os: str | None = None, arch: str | None = None, platform: str | None = None, cgo: bool | None = None
) -> dict[str, str]:
    """The variables that tell Go what to compile for, and whether C may be part of it.

    >>> variables(platform="linux/arm/v7", cgo=False)
    {'GOOS': 'linux', 'GOARCH': 'arm', 'GOARM': '7', 'CGO_ENABLED': '0'}
    """
    if platform and (os or arch):
        raise MagnetfileError("`platform` and `os` or `arch` say the same", hint="leave one of them out")
    if platform:
        wanted = Platform.parse(platform)
        os, arch = wanted.os, "/".join(filter(None, (wanted.architecture, wanted.variant)))
    found = {"GOOS": os} if os else {}
    if arch:
        found |= _architecture(arch)
    return found if cgo is None else {**found, "CGO_ENABLED": "1" if cgo else "0"}


_VARIANTS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "arm": {f"v{number}": {"GOARM": str(number)} for number in (5, 6, 7)},
    "arm64": {"v8": {}},
    "amd64": {f"v{number}": {"GOAMD64": f"v{number}"} for number in (1, 2, 3, 4)},
}
"""How Go says what OCI calls a variant of an architecture."""


def _architecture(arch: str) -> Mapping[str, str]:
    name, slash, variant = arch.partition("/")
    known = _VARIANTS.get(name, {})
    if slash and variant not in known:
        raise MagnetfileError(
            f"Go knows no variant `{variant}` of `{name}`",
            hint=f"known are: {', '.join(known)}" if known else "leave it out",
        )
    return {"GOARCH": name, **(known[variant] if slash else {})}


def _given(values: Mapping[str, object], switches: Mapping[str, bool]) -> list[str]:
    """Options of Go's with the values that are given, and those that are switched on."""
    named = [f"{name}={value}" for name, value in values.items() if value not in (None, "")]
    return named + [name for name, is_on in switches.items() if is_on]
