from magnet import Image, T, env, target

GOLANG_IMAGE = env("GOLANG_IMAGE", "docker.io/library/golang:1.24", help="Image that has Go, to make the builder of")


@target
def build(t: T) -> None:
    """Build with the Go of this machine."""
    t.go.build(output="_build/example.local")


@target
def builder(t: T) -> Image:
    """Make the image in which the others build, so that all machines build with the same Go."""
    return t.build(".", tags=["example-builder"], build_args={"GOLANG_IMAGE": GOLANG_IMAGE})


@target
def build_in_container(t: T) -> None:
    """Build in a container."""
    t.go(image=t.need(builder)).build(output="_build/example.container")


@target
def test(t: T) -> None:
    """Test in a container without a network, and tell what the tests cover."""
    t.go(image=t.need(builder), network="none").cover("./...", profile="_build/coverage.out")


@target
def release(t: T) -> None:
    """Build for several platforms, in a container."""
    go = t.go(image=t.need(builder))
    for platform in ("linux/amd64", "linux/arm64"):
        go.build(output=f"_build/release/{platform}/", platform=platform, ldflags="-s -w")
