"""What was found in a directory: values, of which a magnetfile is made."""

from magnet.values import frozen


@frozen
class Variable:
    """An environment variable that a target looks at, as `env` declares it."""

    name: str
    default: str = ""
    help: str = ""


@frozen
class Draft:
    """A target that is to be written.

    `body` are statements, `parameters` and `returns` parts of the function's head, `uses` the names that these take
    from magnet. In the body, what `value_of` and `function_of` give stands for names that are not chosen yet.
    """

    name: str
    help: str
    body: tuple[str, ...]
    parameters: str = ""
    returns: str = "None"
    uses: tuple[str, ...] = ()
    is_default: bool = False


def value_of(variable: str) -> str:
    """What stands for the value of a variable in code."""
    return f"\0{variable}\0"


def function_of(target: str) -> str:
    """What stands for the function of a target in code."""
    return f"\0:{target}\0"


@frozen
class Found:
    """A file that was found: its `kind` in a word, what it is, and the targets that come of it.

    `left_out` says what of it is not in the targets, a sentence each.
    """

    kind: str
    file: str
    what: str
    drafts: tuple[Draft, ...]
    variables: tuple[Variable, ...] = ()
    left_out: tuple[str, ...] = ()
