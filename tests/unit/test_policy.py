"""When a target is to run, and what cannot be said of it."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from magnet import target
from magnet.errors import MagnetfileError
from magnet.policy import Policy, checked, this_platform


class Machine:
    """What `os.uname` says of a machine."""

    def __init__(self, sysname: str, machine: str) -> None:
        self.sysname, self.machine = sysname, machine


MACHINES = {
    "linux/amd64": Machine("Linux", "x86_64"),
    "linux/arm64": Machine("Linux", "aarch64"),
    "linux/arm/v7": Machine("Linux", "armv7l"),
    "darwin/arm64": Machine("Darwin", "arm64"),
}


def on_release() -> bool:
    return False


@pytest.mark.parametrize(
    ("platforms", "machines"),
    [
        ("linux", {"linux/amd64", "linux/arm64", "linux/arm/v7"}),
        ("linux/amd64", {"linux/amd64"}),
        ("linux/arm", {"linux/arm/v7"}),
        ("linux/arm/v6", set()),
        ("linux/arm64/v8", {"linux/arm64"}),
        (["darwin", "linux/amd64"], {"darwin/arm64", "linux/amd64"}),
        ("windows", set()),
        ((), set(MACHINES)),
    ],
)
def test_a_target_runs_on_the_platforms_that_it_names(
    platforms: Any, machines: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = checked(Policy(platforms=platforms), "")
    runs = set()
    for name, machine in MACHINES.items():
        monkeypatch.setattr(os, "uname", lambda machine=machine: machine)
        assert this_platform() == name
        runs |= set() if policy.why_skipped() else {name}
    assert runs == machines


@pytest.mark.parametrize(
    ("policy", "why", "listed"),
    [
        (Policy(), "", ""),
        (Policy(only_if=lambda: True), "", "conditional"),
        (Policy(only_if=False), "`only_if` is false", "`only_if` is false"),
        (Policy(only_if=lambda: False), "`only_if` is false", "conditional"),
        (Policy(only_if=on_release), "`on_release` is false", "if on_release"),
        (Policy(platforms=("aix", "plan9/386")), "runs on aix or plan9/386, not HERE", "on aix or plan9/386"),
    ],
)
def test_why_a_target_is_skipped_is_told(policy: Policy, why: str, listed: str) -> None:
    assert policy.why_skipped() == why.replace("HERE", this_platform())
    assert policy.conditions == listed


def test_a_condition_is_not_asked_where_the_platform_is_another() -> None:
    def never() -> bool:
        raise AssertionError

    assert Policy(only_if=never, platforms=("plan9",)).why_skipped()


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"timeout": 0}, "`0` is no time for `timeout`", "give seconds, as 90 or 0.5, or a text"),
        ({"timeout": "soon"}, "`soon` is no time for `timeout`", "give seconds"),
        ({"retries": -1}, "`retries` cannot be -1", "give a whole number from 0"),
        ({"retries": 1.5}, "`retries` cannot be 1.5", "give a whole number from 0"),
        ({"weight": 0}, "`weight` cannot be 0", "give a whole number from 1"),
        ({"weight": "2"}, "`weight` cannot be '2'", "give a whole number from 1"),
        ({"only_if": "false"}, "`only_if` is 'false', and neither True nor False", "compare it, as in only_if=env("),
        ({"platforms": "macos"}, "`macos` is no platform", "did you mean `darwin`?"),
        ({"platforms": "Linux"}, "`Linux` is no platform", "did you mean `linux`?"),
        ({"platforms": ["linux/x86_64"]}, "`linux/x86_64` is no platform", "did you mean `amd64`?"),
        ({"platforms": "linuz"}, "`linuz` is no platform", "did you mean `linux`?"),
        ({"platforms": "amd64"}, "`amd64` is no platform", "write it as `linux`, `darwin` or `linux/arm64`"),
        ({"platforms": "linux/arm/v7/x"}, "`linux/arm/v7/x` is no platform", "write it as"),
        ({"platforms": "linux/"}, "`linux/` is no platform", "write it as"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_load_with_its_place(given: Any, message: str, hint: str) -> None:
    with pytest.raises(MagnetfileError) as caught:

        @target(**given)
        def one(t: Any) -> None: ...

    assert caught.value.message.startswith("test_policy.py:")
    assert caught.value.message.endswith(f": target `one`: {message}")
    assert (caught.value.hint or "").startswith(hint)


@pytest.mark.parametrize("said", [None, "", "yes", 1])
def test_a_condition_must_be_one(said: Any) -> None:
    condition: Callable[[], bool] = lambda: said  # noqa: E731 - it has no name
    with pytest.raises(MagnetfileError) as caught:
        Policy(only_if=condition).why_skipped()
    assert caught.value.message == f"`only_if` is {said!r}, and neither True nor False"
