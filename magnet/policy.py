"""When a target runs and how: on which machines, on what condition, for how long, how often, and in how many slots."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from magnet.errors import MagnetError, MagnetfileError, did_you_mean
from magnet.values import frozen

Condition = Callable[[], bool] | bool
"""What is asked when a target is about to run, or is known when the magnetfile is loaded."""

SYSTEMS = (
    *("aix", "android", "darwin", "dragonfly", "freebsd", "illumos", "ios", "linux", "netbsd", "openbsd", "plan9"),
    *("solaris", "windows"),
)
ARCHITECTURES = (
    *("386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64", "ppc64le"),
    *("riscv64", "s390x"),
)
"""OCI's words, which are Go's: https://github.com/opencontainers/image-spec/blob/main/image-index.md"""

_OTHER_WORDS = {
    "i386": "386",
    "i686": "386",
    "x86_64": "amd64",
    "x86-64": "amd64",
    "x64": "amd64",
    "aarch64": "arm64",
    "macos": "darwin",
    "osx": "darwin",
    "win32": "windows",
}


@frozen
class Policy:
    """What is declared of a target besides what it does; `timeout` is in seconds."""

    timeout: float | None = None
    retries: int = 0
    only_if: Condition = True
    platforms: tuple[str, ...] = ()
    weight: int = 1

    @property
    def may_skip(self) -> bool:
        """Whether it may turn out that the target is not to run here and now."""
        return self.only_if is not True or bool(self.platforms)

    @property
    def conditions(self) -> str:
        """What `may_skip` it, in short; a function is not asked for that."""
        found = [f"on {_either(self.platforms)}"] if self.platforms else []
        if callable(self.only_if):
            found.append(f"if {name}" if (name := _name(self.only_if)) else "conditional")
        elif not self.only_if:
            found.append("`only_if` is false")
        return ", ".join(found)

    def why_skipped(self) -> str:
        """Why the target is not to run here and now; nothing if it is. A function is asked each time."""
        if self.platforms and not any(map(_has(here := this_platform()), self.platforms)):
            return f"runs on {_either(self.platforms)}, not {here}"
        if callable(self.only_if):
            shown = _name(self.only_if) or "only_if"
            return "" if _known(self.only_if(), shown) else f"`{shown}` is false"
        return "" if self.only_if else "`only_if` is false"


PLAIN = Policy()
"""That of a target of which nothing is declared."""


def checked(given: Policy, where: str) -> Policy:
    """The policy of what was given for it; MagnetfileError for what cannot be meant. `where` names the target."""
    from magnet.durations import time_limit  # costs 1 ms, and most targets have no policy

    try:
        return Policy(
            timeout=None if given.timeout is None else time_limit(given.timeout, "timeout"),
            retries=_count(given.retries, "retries", least=0),
            only_if=given.only_if if callable(given.only_if) else _known(given.only_if, "only_if"),
            platforms=_platforms(given.platforms),
            weight=_count(given.weight, "weight", least=1),
        )
    except MagnetError as error:
        raise MagnetfileError(f"{where}: {error.message}", hint=error.hint) from error


def this_platform() -> str:
    """The platform of this machine, whatever system it has.

    >>> this_platform().count("/") >= 1
    True
    """
    from magnet.model import this_machine  # few targets are for certain machines

    return f"{os.uname().sysname.lower()}/{str(this_machine()).partition('/')[2]}"


def _name(condition: Callable[[], bool]) -> str:
    """The name of a condition, if it has one that says something."""
    name: str = getattr(condition, "__name__", "")
    return name if name.isidentifier() else ""


def _has(here: str) -> Callable[[str], bool]:
    # The variant of arm64 is v8, and need not be said.
    return lambda platform: f"{here}/".startswith(f"{platform.removesuffix('/v8')}/")


def _either(platforms: Iterable[str]) -> str:
    return " or ".join(platforms)


def _count(value: Any, what: str, *, least: int) -> int:
    if type(value) is int and value >= least:
        return value
    raise MagnetfileError(f"`{what}` cannot be {value!r}", hint=f"give a whole number from {least}")


def _known(value: Any, what: str) -> bool:
    """The truth of a condition, which must be one: the text "false" is none."""
    if isinstance(value, bool):
        return value
    raise MagnetfileError(
        f"`{what}` is {value!r}, and neither True nor False",
        hint='compare it, as in only_if=env("CI") == "true", or make it one with bool(...)',
    )


def _platforms(given: Any) -> tuple[str, ...]:
    found = (given,) if isinstance(given, str) else tuple(given)
    for platform in found:
        system, *rest = str(platform).split("/")
        words = [(system, SYSTEMS), *((word, ARCHITECTURES) for word in rest[:1])]
        for word, known in words:
            if word not in known:
                raise _no_platform(str(platform), word, known)
        if len(rest) > 2 or not all(rest):
            raise _no_platform(str(platform), "", ())
    return found


def _no_platform(platform: str, word: str, known: Iterable[str]) -> MagnetfileError:
    meant = _OTHER_WORDS.get(word.lower(), word.lower())
    hint = f"did you mean `{meant}`?" if meant in known else did_you_mean(word, known) if word else None
    return MagnetfileError(
        f"`{platform}` is no platform", hint=hint or "write it as `linux`, `darwin` or `linux/arm64`, in OCI's words"
    )
