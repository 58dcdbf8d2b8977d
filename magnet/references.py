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
