"""Checks of docker: its clients, its daemon, and what builds."""

from magnet.doctor.engines import Facts
from magnet.doctor.findings import Finding, ok
from magnet.doctor.machine import Client, Machine
from magnet.doctor.remedies import as_root, install

_BUILDX = "https://github.com/docker/buildx/releases/download/v0.13.1/buildx-v0.13.1.linux-"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def explain_silence(facts: Facts) -> Finding | None:
    """Why no daemon answers, where that can be told here; what the client said is all there is where it cannot."""
    machine = facts.machine
    where = machine.docker_socket
    if machine.docker_clients and machine.docker_clients[0].kind == "podman":
        return Finding("failed", f"{machine.docker_clients[0].path} is podman under another name", "", _USE_PODMAN)
    if machine.docker_state == "podman":
        why = "`docker run --rm` of a docker client ends with 0 there, whatever the container's exit code was"
        return Finding("failed", f"at {where} it is podman that answers", why, _USE_PODMAN)
    if machine.docker_state == "denied":
        return Finding(
            "failed",
            f"{machine.user} may not use the daemon's socket, {where}",
            "it is for root and the group `docker`, whose members can do whatever root can",
            f"sudo usermod -aG docker {machine.user} && newgrp docker",
        )
    missing = f"there is no daemon's socket at {where}"
    what = {"missing": missing, "refused": f"no daemon answers at {where}"}.get(machine.docker_state or "")
    if machine.docker_sockets:
        other = machine.docker_sockets[0]
        fix = f"export DOCKER_HOST=unix://{other}"
        return Finding("failed", what or facts.refusal, f"one answers at {other}", fix)
    return Finding("failed", what, "the daemon does not run", _start(machine)) if what else None


_USE_PODMAN = "export MAGNET_BACKEND=podman"


def _start(machine: Machine) -> str:
    if "dockerd" not in machine.programs:
        return install(machine, "docker")
    if machine.systemd:
        return as_root(machine, "systemctl enable --now docker")
    if machine.docker_service:
        return as_root(machine, "service docker start")
    return as_root(machine, "sh -c 'dockerd > /var/log/dockerd.log 2>&1 &'")


def check_clients(facts: Facts) -> Finding | None:
    """Which docker clients there are, where there are several."""
    clients = facts.machine.docker_clients
    if len(clients) < 2:
        return None
    first, *others = clients
    listed = "; ".join(f"{one.path} is {_described(one)}" for one in others)
    return ok(f"{first.path}, {_described(first)}, is the first of {len(clients)} docker clients on PATH; {listed}")


def _described(client: Client) -> str:
    builders = {"buildkit": "with BuildKit", "buildx": "with buildx", "legacy": "without buildx", "podman": "podman's"}
    return f"{client.version} {builders[client.kind]}".strip()


def _better(clients: tuple[Client, ...]) -> Client | None:
    """A client with BuildKit, where the first has none."""
    if clients[0].kind in ("buildkit", "buildx"):
        return None
    return next((one for one in clients if one.kind in ("buildkit", "buildx")), None)


def _prefer(client: Client) -> str:
    """The command that makes a client the first on PATH, and no other program."""
    own = "$HOME/.local/lib/docker-client"
    return f'mkdir -p "{own}" && ln -sf {client.path} "{own}/docker" && export PATH="{own}:$PATH"'


def check_builder(facts: Facts) -> Finding | None:
    """Whether BuildKit builds, or what is in its place."""
    if facts.machine.variables.get("DOCKER_BUILDKIT", "").lower() in ("0", "f", "false"):
        return _legacy("DOCKER_BUILDKIT chooses docker's legacy builder", "unset DOCKER_BUILDKIT")
    clients = facts.machine.docker_clients
    if not clients or clients[0].kind == "podman":
        return None
    client, better = clients[0], _better(clients)
    if client.kind == "legacy":
        what = f"{client.path}, the docker client {client.version} that is the first on PATH, has no buildx"
        if better:
            return _legacy(f"{what}; {better.path}, {_described(better)}, comes after it", _prefer(better))
        return _legacy(what, _install_buildx(facts.machine))
    if facts.engine and facts.engine.builder == "buildx":
        return ok(f"BuildKit builds, through buildx {facts.engine.builder_version}".rstrip())
    return ok("BuildKit builds" if client.kind == "buildkit" else "BuildKit builds, through buildx")


def _legacy(what: str, fix: str) -> Finding:
    why = "without BuildKit there are no RUN --mount, no secrets, no other platforms, and unused stages are built, too"
    return Finding("warning", what, why, fix)


def _install_buildx(machine: Machine) -> str:
    """The command that installs buildx: a package, or the plugin itself where there is none, as in Debian 12."""
    if machine.packager and not (machine.distribution == "debian" and machine.release.split(".")[0] in ("11", "12")):
        return install(machine, "docker-buildx")
    architecture = _ARCHITECTURES.get(machine.architecture)
    if architecture is None:
        return ""
    plugins = '"${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins"'
    return (
        f"mkdir -p {plugins} && curl -fL -o {plugins}/docker-buildx {_BUILDX}{architecture} "
        f"&& chmod +x {plugins}/docker-buildx"
    )


def check_remote(facts: Facts) -> Finding | None:
    """Whether the engine runs on another machine."""
    machine = facts.machine
    host = machine.variables.get("CONTAINER_HOST" if facts.name == "podman" else "DOCKER_HOST", "")
    if not (facts.engine and facts.engine.is_remote):
        return None
    variable = {"podman": "CONTAINER_HOST", "docker": "DOCKER_HOST"}.get(facts.name, "")
    return Finding(
        "warning",
        f"{facts.name} works on another machine, or behind a service{f': {host}' if host else ''}",
        "what a container mounts is that machine's, not this one's, and what stands in its way cannot be seen here",
        f"unset {variable}" if host else "docker context use default" if facts.name == "docker" else "",
    )
