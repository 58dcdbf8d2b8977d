"""Names of images: with the tag and the registry that go without saying."""


def with_tag(name: str) -> str:
    """A name with its tag, which is `latest` where none is said.

    >>> with_tag("localhost:5000/app"), with_tag("app:1")
    ('localhost:5000/app:latest', 'app:1')
    """
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def full_name(name: str) -> str:
    """A name as docker means it, with the registry that goes without saying.

    >>> full_name("app"), full_name("localhost/app:1"), full_name("team/app:1")
    ('docker.io/library/app:latest', 'localhost/app:1', 'docker.io/team/app:1')
    """
    first, slash, _ = name.partition("/")
    if slash and (first == "localhost" or set(first) & set(".:")):
        return with_tag(name)
    return with_tag(f"docker.io/{name}" if slash else f"docker.io/library/{name}")


def repository(name: str) -> str:
    """The repository of a full name, without its tag.

    >>> repository("registry.example/team/cache:1"), repository("team/cache")
    ('registry.example/team/cache', 'docker.io/team/cache')
    """
    return full_name(name).rpartition(":")[0]


CACHE_TAG = "buildcache"
"""The tag of a cache whose name has none."""


def cache_image(name: str, platform: str) -> str:
    """The image that holds a build's cache, where that takes an image: of its own for each platform.

    >>> cache_image("registry.example/cache", "linux/arm64"), cache_image("registry.example/cache:1", "linux/arm64")
    ('registry.example/cache:buildcache-linux-arm64', 'registry.example/cache:1')
    """
    if ":" in name.rpartition("/")[2]:
        return name
    return f"{name}:{'-'.join(filter(None, (CACHE_TAG, *platform.split('/'))))}"
