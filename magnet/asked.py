"""What the body of a target gives, as the values that requests are made of; MagnetfileError for what fits none."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from magnet.errors import MagnetfileError
from magnet.model import (
    MODES,
    NETWORKS,
    PULL_POLICIES,
    Image,
    ImageListing,
    Modes,
    Network,
    Option,
    Output,
    Platform,
    Project,
    Pull,
)


def reference(image: Image | str) -> str:
    """What names an image towards the engine: its id, for a short name may mean another image somewhere."""
    if isinstance(image, str):
        return image
    return image.id or next(iter(image.tags), "<image>")


def platforms_of(one: str | None, several: Iterable[str] | str) -> tuple[Platform, ...]:
    """The platforms that are asked for together; none where one is asked for, or none."""
    names = strings(several)
    if names and one:
        raise MagnetfileError("both `platform` and `platforms` are given", hint="leave one of them out")
    return tuple(dict.fromkeys(map(Platform.parse, names)))


def repositories(names: Iterable[str] | str) -> tuple[str, ...]:
    """Repositories of a registry, with or without a tag."""
    for name in (given := strings(names)):
        if "@" in name or "=" in name or "/" not in name:
            raise MagnetfileError(
                f"`{name}` is no repository for the steps of a build", hint="write it as `registry.example/team/cache`"
            )
    return given


def check_outputs(outputs: Iterable[Output]) -> None:
    """Refuse what holds an image of one platform."""
    for output in outputs:
        if output.type != "oci-archive":
            raise MagnetfileError(
                f"a `{output.type}` holds an image of one platform, and several are asked for",
                hint="write an `oci-archive`, or build for each `platform` by itself",
            )


def epoch(seconds: int | str | None) -> int | None:
    """A time, in seconds since 1970."""
    if seconds is None:
        return None
    if str(seconds).isdecimal():
        return int(seconds)
    raise MagnetfileError(
        f"`{seconds}` is no time for `source_date_epoch`",
        hint="give whole seconds since 1970, as `git log -1 --format=%ct` prints them",
    )


def epoch_arg(seconds: int | str | None) -> dict[str, str]:
    """The build arg that tells steps of the time, if one is given."""
    return {} if seconds is None else {"SOURCE_DATE_EPOCH": str(seconds)}


def outputs_of(project: Project, output: Output | Iterable[Output]) -> tuple[Output, ...]:
    """What is to be written, at absolute paths."""
    given = (output,) if isinstance(output, Output) else tuple(output)
    return tuple(Output(one.type, project.root / one.path) for one in given)


def no_healthcheck(options: Iterable[str], *, keep: bool) -> tuple[Option, ...]:
    """What keeps an engine from checking health by itself: not every one can, and some wait half a minute first."""
    is_wanted = keep or any(option.startswith("--health-") or option == "--no-healthcheck" for option in options)
    return () if is_wanted else (Option("--no-healthcheck"),)


def strings(values: Iterable[str] | str) -> tuple[str, ...]:
    """One word or several, as several."""
    return (values,) if isinstance(values, str) else tuple(values)


def texts(values: Mapping[str, object] | None) -> dict[str, str]:
    """Values by name, as text."""
    return {name: str(value) for name, value in (values or {}).items()}


def pull_policy(policy: str) -> Pull:
    """The pull policy of that name."""
    for known in PULL_POLICIES:
        if policy == known:
            return known
    raise MagnetfileError(f"`{policy}` is not a pull policy", hint=f"known are: {', '.join(PULL_POLICIES)}")


def network_of(network: str | None) -> Network:
    """The network of a build's steps of that name; the engine's own where none is given."""
    if network is None:
        return "default"
    for known in NETWORKS:
        if network == known:
            return known
    raise MagnetfileError(
        f"the steps of a build cannot have the network `{network}`", hint=f"known are: {', '.join(NETWORKS)}"
    )


def limits_of(
    hosts: Mapping[str, str | Iterable[str]] | None,
    shm_size: int | str | None,
    ulimits: Mapping[str, int | str] | Iterable[str] | str,
) -> dict[str, Any]:
    """The fields of a request of these names, of those that were given."""
    if not hosts and shm_size is None and not ulimits:
        return {}
    from magnet import limits  # most builds have none

    return {
        "hosts": limits.parse_hosts(hosts or {}),
        "shm_size": None if shm_size is None else limits.parse_size(shm_size, "shm_size"),
        "ulimits": limits.parse_ulimits(ulimits),
    }


def modes_of(modes: str) -> Modes:
    """The choice for `modes` of that name."""
    for known in MODES:
        if modes == known:
            return known
    raise MagnetfileError(f"`{modes}` is no choice for `modes`", hint=f"known are: {', '.join(MODES)}")


def image_table(images: Iterable[ImageListing]) -> list[str]:
    """The rows as docker prints them."""
    rows = [("REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE")]
    for image in images:
        created = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(image.created))
        rows.append((image.repository, image.tag, image.id.removeprefix("sha256:")[:12], created, image.size))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["   ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
