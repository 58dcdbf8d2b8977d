"""The options of `docker build` and `docker run` that podman spells the same way.

They are the command line's `magnet build` and `magnet run` beside what targets name as intents, and what
`options=` of a target takes. A backend hands them on, or refuses them: see `Backend.refused_options`.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from magnet.errors import UsageError, did_you_mean
from magnet.model import Option
from magnet.values import frozen


@frozen
class OptionSpec:
    """An option of the engines': its long name, its value's name ("" for a flag), and its help."""

    name: str
    metavar: str
    help: str
    short: str | None = None


BUILD_OPTIONS = (
    OptionSpec("--cgroup-parent", "CGROUP", "parent cgroup of the build's steps"),
    OptionSpec("--cpu-period", "USEC", "limit the CPU CFS period"),
    OptionSpec("--cpu-quota", "USEC", "limit the CPU CFS quota"),
    OptionSpec("--cpu-shares", "N", "CPU shares (relative weight)", "-c"),
    OptionSpec("--cpuset-cpus", "LIST", "CPUs that steps may use, as 0-3 or 0,1"),
    OptionSpec("--cpuset-mems", "LIST", "memory nodes that steps may use"),
    OptionSpec("--memory", "BYTES", "memory limit of a step", "-m"),
    OptionSpec("--memory-swap", "BYTES", "memory and swap limit of a step"),
    OptionSpec("--security-opt", "OPT", "a security option of the build's steps"),
)

BUILD_KEYWORDS = {
    "--add-host": 'add_hosts={"NAME": "ADDRESS"}',
    "--build-arg": 'build_args={"NAME": "VALUE"}',
    "--build-context": 'build_contexts={"NAME": PATH}',
    "--file": "file=PATH",
    "--label": 'labels={"NAME": "VALUE"}',
    "--network": 'network="none"',
    "--no-cache": "no_cache=True",
    "--platform": 'platform="linux/amd64"',
    "--pull": 'pull="always"',
    "--secret": 'secrets=[Secret("ID", file=PATH)]',
    "--shm-size": 'shm_size="64m"',
    "--ssh": 'ssh="default"',
    "--tag": "tags=NAME",
    "--target": "stage=NAME",
    "--ulimit": 'ulimits={"nofile": "1024:2048"}',
}
"""Options of `build` that are keywords of `t.build`, with one meaning on all engines, and how it spells them."""

RUN_OPTIONS = (
    OptionSpec("--add-host", "HOST:IP", "add a line to /etc/hosts"),
    OptionSpec("--blkio-weight", "N", "block IO weight, 10 to 1000"),
    OptionSpec("--cap-add", "CAP", "add a Linux capability"),
    OptionSpec("--cap-drop", "CAP", "drop a Linux capability"),
    OptionSpec("--cgroup-parent", "CGROUP", "parent cgroup"),
    OptionSpec("--cgroupns", "MODE", "cgroup namespace: host or private"),
    OptionSpec("--cidfile", "FILE", "write the container's id to a file"),
    OptionSpec("--cpu-period", "USEC", "limit the CPU CFS period"),
    OptionSpec("--cpu-quota", "USEC", "limit the CPU CFS quota"),
    OptionSpec("--cpu-rt-period", "USEC", "limit the CPU real-time period"),
    OptionSpec("--cpu-rt-runtime", "USEC", "limit the CPU real-time runtime"),
    OptionSpec("--cpu-shares", "N", "CPU shares (relative weight)", "-c"),
    OptionSpec("--cpus", "N", "number of CPUs"),
    OptionSpec("--cpuset-cpus", "LIST", "CPUs that may be used, as 0-3 or 0,1"),
    OptionSpec("--cpuset-mems", "LIST", "memory nodes that may be used"),
    OptionSpec("--device", "DEVICE", "give the container a device of this machine"),
    OptionSpec("--device-cgroup-rule", "RULE", "a rule for the device cgroup"),
    OptionSpec("--dns", "IP", "a DNS server"),
    OptionSpec("--dns-search", "DOMAIN", "a DNS search domain"),
    OptionSpec("--expose", "PORT", "expose a port"),
    OptionSpec("--gpus", "GPUS", "GPU devices to add"),
    OptionSpec("--group-add", "GROUP", "another group to join"),
    OptionSpec("--health-cmd", "CMD", "command that checks health"),
    OptionSpec("--health-interval", "DURATION", "time between health checks"),
    OptionSpec("--health-retries", "N", "failures before the container is unhealthy"),
    OptionSpec("--health-start-period", "DURATION", "time to start before failures count"),
    OptionSpec("--health-timeout", "DURATION", "time that one health check may take"),
    OptionSpec("--hostname", "NAME", "host name of the container", "-h"),
    OptionSpec("--init", "", "run an init that reaps processes"),
    OptionSpec("--ip", "IP", "IPv4 address"),
    OptionSpec("--ip6", "IP", "IPv6 address"),
    OptionSpec("--ipc", "MODE", "IPC mode"),
    OptionSpec("--label-file", "FILE", "read labels from a file"),
    OptionSpec("--log-driver", "DRIVER", "logging driver"),
    OptionSpec("--log-opt", "OPT", "option of the logging driver"),
    OptionSpec("--mac-address", "MAC", "MAC address"),
    OptionSpec("--memory", "BYTES", "memory limit", "-m"),
    OptionSpec("--memory-reservation", "BYTES", "memory soft limit"),
    OptionSpec("--memory-swap", "BYTES", "memory and swap limit"),
    OptionSpec("--memory-swappiness", "N", "memory swappiness, 0 to 100"),
    OptionSpec("--network-alias", "NAME", "a name of the container in its network"),
    OptionSpec("--no-healthcheck", "", "disable the image's HEALTHCHECK"),
    OptionSpec("--oom-kill-disable", "", "disable the OOM killer"),
    OptionSpec("--oom-score-adj", "N", "adjust the OOM score"),
    OptionSpec("--pid", "MODE", "PID namespace"),
    OptionSpec("--pids-limit", "N", "limit of processes"),
    OptionSpec("--publish", "[IP:][PORT:]PORT", "publish a port", "-p"),
    OptionSpec("--publish-all", "", "publish all exposed ports", "-P"),
    OptionSpec("--restart", "POLICY", "restart policy"),
    OptionSpec("--security-opt", "OPT", "a security option"),
    OptionSpec("--shm-size", "BYTES", "size of /dev/shm"),
    OptionSpec("--stop-signal", "SIGNAL", "signal that stops the container"),
    OptionSpec("--stop-timeout", "SECONDS", "time to stop before it is killed"),
    OptionSpec("--storage-opt", "OPT", "option of the storage driver"),
    OptionSpec("--sysctl", "NAME=VALUE", "a kernel parameter"),
    OptionSpec("--tmpfs", "PATH", "mount a tmpfs"),
    OptionSpec("--ulimit", "TYPE=SOFT[:HARD]", "a resource limit"),
    OptionSpec("--userns", "MODE", "user namespace"),
    OptionSpec("--uts", "MODE", "UTS namespace"),
    OptionSpec("--volumes-from", "CONTAINER", "mount the volumes of another container"),
)

MOUNT_OPTIONS = (
    OptionSpec("--mount", "type=TYPE,...", "attach a file system that is not a bind mount"),
    OptionSpec("--volume", "NAME:TARGET", "attach a named volume"),
)
"""What `run` takes beside RUN_OPTIONS, for mounts that no Mount describes."""


def parse_options(
    words: Iterable[str], specs: tuple[OptionSpec, ...], keywords: Mapping[str, str] = MappingProxyType({})
) -> tuple[Option, ...]:
    """The options that `words` spell, each as `--name=value` or `--flag`; an unknown one is a UsageError.

    So is one that has to be given by one of `keywords`.

    >>> parse_options(["--memory=1g"], BUILD_OPTIONS)
    (Option(name='--memory', value='1g'),)
    """
    known = {spec.name: spec for spec in specs}
    parsed = []
    for word in words:
        name, equals, value = word.partition("=")
        if name in keywords:
            raise UsageError(f"`{name}` is a keyword here, and none of `options`", hint=f"write {keywords[name]}")
        if name not in known:
            raise UsageError(
                f"`{name}` is not an option that docker and podman share",
                hint=did_you_mean(name, known) or f"known are: {', '.join(known)}",
            )
        if bool(known[name].metavar) != bool(equals):
            form = f"{name}={known[name].metavar}" if known[name].metavar else name
            raise UsageError(f"`{word}` does not fit the option", hint=f"write it as `{form}`")
        parsed.append(Option(name, value if equals else None))
    return tuple(parsed)
