from magnet import T, env, import_env, target

import_env(make="magnet-vars")

ARCH = env("ARCH", help="Architecture to build for", choices=["amd64", "arm64"])
GO_VERSION = env("GO_VERSION", help="Version of Go")
K8S_VERSION = env("K8S_VERSION", help="Version of Kubernetes")
JOBS = env("JOBS", 2, help="How many compilers may run at once")


@target(name="env", default=True)
def show(t: T) -> None:
    """Print what was imported."""
    t.print("arch:", ARCH)
    t.print("goVersion:", GO_VERSION)
    t.print("k8sVersion:", K8S_VERSION)
    t.print("jobs:", JOBS)
