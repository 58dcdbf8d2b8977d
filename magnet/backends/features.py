"""What engines can do of what not every engine can: one table, with the version that each has it from.

A backend says what its engine has with `features_of`; what a request or its Dockerfile needs is compared with that
before anything starts. An engine that is not in a row does not have it in any version.
"""

from collections.abc import Mapping

from magnet.backends.engine import version_numbers
from magnet.values import frozen

ALWAYS = "0"
"""The version from which an engine has what it has always had."""


@frozen
class Feature:
    """A row of the table: a feature's name, what it is in a few words, and the first version of each kind of engine.

    A kind is `buildkit` (docker's version), `legacy` (docker's builder before BuildKit, docker's version), `podman`,
    `buildah`, or the name of another backend.
    """

    name: str
    what: str
    since: Mapping[str, str]


def _everywhere_but(*kinds: str) -> dict[str, str]:
    return {kind: ALWAYS for kind in ("buildkit", "legacy", "podman", "buildah") if kind not in kinds}


FEATURES = (
    Feature("platform", "builds for a chosen platform", _everywhere_but("legacy")),
    Feature("bind-mount", "mounts of this machine's files", _everywhere_but()),
    Feature(
        "registry-cache", "steps of builds in a registry", {"buildkit": "20.10", "podman": "4.2", "buildah": "1.27"}
    ),
    Feature("lists", "pushes of images of several platforms", _everywhere_but("buildkit", "legacy")),
    Feature("network", "networks of one's own, or none", _everywhere_but()),
    # Not docker's daemon of an ordinary user, which is in a network of its own.
    Feature("host-network", "this machine's own network", _everywhere_but()),
    Feature("build-network", "builds without a network", _everywhere_but()),
    Feature("secrets", "secrets of builds", {"buildkit": "20.10", "podman": "4.0", "buildah": "1.24"}),
    Feature("ssh", "SSH agents in builds", {"buildkit": "20.10", "podman": "4.0", "buildah": "1.24"}),
    # BuildKit in 20.10 takes both without a word and without effect.
    Feature("build-shm-size", "a size of /dev/shm in builds", {**_everywhere_but(), "buildkit": "23.0"}),
    Feature("build-ulimits", "resource limits in builds", {**_everywhere_but(), "buildkit": "23.0"}),
    Feature("build-contexts", "named contexts", {"buildkit": "23.0", "podman": "4.2", "buildah": "1.27"}),
    Feature("detach", "containers that go on running", _everywhere_but("buildah")),
    Feature("container-name", "containers with a name", _everywhere_but("buildah")),
    Feature("privileged", "privileged containers", _everywhere_but("buildah")),
    Feature("read-only", "a read-only root file system", _everywhere_but("buildah")),
    Feature("run-mount", "`RUN --mount`", {"buildkit": "20.10", "podman": "4.0", "buildah": "1.24"}),
    # Podman 4.3 and buildah 1.28 crash: https://github.com/containers/buildah/pull/4791
    Feature(
        "mount-required",
        "`required` without a value in RUN --mount",
        {"buildkit": "20.10", "podman": "4.6", "buildah": "1.31"},
    ),
    Feature("secret-of-target", "a secret whose id is the name of its target", {"buildkit": "20.10"}),
    Feature("run-network", "`RUN --network`", {"buildkit": "23.0", "podman": "4.5", "buildah": "1.30"}),
    Feature("run-security", "`RUN --security`", {}),
    Feature("run-device", "`RUN --device`", {}),
    Feature("heredoc", "here-documents in RUN, COPY and ADD", {"buildkit": "23.0", "podman": "4.8", "buildah": "1.33"}),
    Feature(
        "copy-chmod", "`COPY --chmod` and `ADD --chmod`", {"buildkit": "20.10", "podman": "4.0", "buildah": "1.24"}
    ),
    Feature("chmod-symbolic", "a `--chmod` in letters, as `u+x`", {"buildkit": "28.0", "buildah": "1.45"}),
    # https://github.com/moby/buildkit/issues/3920
    Feature(
        "chmod-special",
        "the bits for setuid, setgid and sticky in `--chmod`",
        {"buildkit": "26.1", "podman": "4.0", "buildah": "1.24"},
    ),
    Feature("chmod-variable", "a variable in `--chmod`", {"buildkit": "28.0", "podman": "4.0", "buildah": "1.24"}),
    Feature("copy-link", "`COPY --link` and `ADD --link`", {"buildkit": "23.0", "podman": "5.7", "buildah": "1.42"}),
    Feature("copy-parents", "`COPY --parents`", {"buildkit": "29.1", "podman": "5.5", "buildah": "1.40"}),
    Feature(
        "copy-exclude", "`COPY --exclude` and `ADD --exclude`", {"buildkit": "28.5", "podman": "5.3", "buildah": "1.38"}
    ),
    # Podman and buildah look for the pattern at the top of the context, and not in the directory that is copied.
    Feature("exclude-below", "`--exclude=x` below a directory, unlike `--exclude=**/x`", {"buildkit": "28.5"}),
    Feature("add-checksum", "`ADD --checksum`", {"buildkit": "25.0", "podman": "5.0", "buildah": "1.34"}),
    # Podman and buildah have had it since 5.0 and 1.34, but copy the whole context where the clone fails.
    Feature("add-git", "`ADD` of a git repository", {"buildkit": "25.0"}),
    Feature("add-unpack", "`ADD --unpack`", {"buildkit": "28.3"}),
    Feature(
        "health-start-interval",
        "`HEALTHCHECK --start-interval`",
        {"buildkit": "25.0", "legacy": "25.0", "podman": "5.1", "buildah": "1.36"},
    ),
    # Podman 5 and buildah 1.39 take `${X:?why}` for `why`.
    Feature("expansion-required", "`${X:?why}`", {"buildkit": ALWAYS, "legacy": ALWAYS}),
    Feature("expansion-unset", "`${X-y}`, `${X+y}` and `${X?why}`", {"buildkit": "25.0", "legacy": "25.0"}),
    Feature(
        "expansion-pattern",
        "`${X#y}`, `${X%y}` and `${X/y/z}`",
        {"buildkit": "26.0", "legacy": "26.0", "podman": "5.4", "buildah": "1.39"},
    ),
    Feature("foreign-syntax", "a `# syntax=` of others than docker/dockerfile", {"buildkit": ALWAYS}),
    Feature("from-platform", "`FROM --platform`", _everywhere_but("legacy")),
    Feature("volume-writes", "RUN that writes into a VOLUME", {"buildkit": ALWAYS, "podman": "5.2", "buildah": "1.37"}),
    Feature("workdir-owner", "a WORKDIR that belongs to the USER", _everywhere_but("legacy")),
)
"""Every feature, in the order in which they are shown."""

NEEDS_A_RUNTIME = frozenset({"network", "build-network", "build-shm-size"})
"""What buildah and podman cannot with the isolation `chroot`, where a process has what this machine has."""

NEEDS_THIS_MACHINE = frozenset({"bind-mount"})
"""What no engine can that is reached over a network."""


def features_of(kind: str, version: str) -> frozenset[str]:
    """The names of the features that a kind of engine has in that version."""
    numbers = version_numbers(version)
    first = {feature.name: feature.since[kind] for feature in FEATURES if kind in feature.since}
    return frozenset(name for name, since in first.items() if version_numbers(since) <= numbers)


def who_has(name: str) -> str:
    """Which engines have a feature, and since when, in a few words; "" where none has, or it is not in the table.

    >>> who_has("privileged")
    'docker and podman have it'
    >>> who_has("build-ulimits")
    'podman, buildah and docker 23.0 or later have it'
    """
    feature = next((feature for feature in FEATURES if feature.name == name), None)
    since = dict(feature.since) if feature else {}
    if "legacy" in since:
        del since["legacy"]
    if not since:
        return ""
    # "or later" ends the list, and is said of those with a version.
    ordered = sorted(since.items(), key=lambda one: one[1] != ALWAYS)
    *others, last = [f"{_PROGRAMS.get(kind, kind)}{'' if first == ALWAYS else f' {first}'}" for kind, first in ordered]
    names = f"{', '.join(others)} and {last}" if others else last
    or_later = " or later" if any(first != ALWAYS for first in since.values()) else ""
    return f"{names}{or_later} {'have' if others else 'has'} it"


_PROGRAMS = {"buildkit": "docker"}
