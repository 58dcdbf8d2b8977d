"""The key of a build: equal keys, equal results."""

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from blake3 import blake3

from magnet.backends.base import same_platform
from magnet.model import Platform
from magnet.preparation import EPOCH_ARG, Prepared
from magnet.values import frozen

SCHEMA = "magnet build 2"
"""Changes when what keys are made of does, so that no key of another magnet's can be taken for one of ours."""


@frozen
class CacheKey:
    """What decides the result of a build, as parts that can be told one by one, each a JSON value.

    In it are the instructions of the stages that are needed with the base images that they name, the build args that
    these consume, the stage, the platform, labels, the network, added hosts, limits, the ids of secrets and SSH agents,
    the engine's further options, the digests of the context and of named ones, and the ids of the base images. Left out
    are tags, the engine's name and version, the values of secrets, the address that `host-gateway` stands for, proxies
    that are given as build args without an ARG, comments, the place of the Dockerfile, and what a step fetches from the
    network.
    """

    parts: Mapping[str, Any]

    @cached_property
    def digest(self) -> str:
        """The BLAKE3 digest of the schema and the parts, in hexadecimal."""
        text = json.dumps([SCHEMA, self.parts], sort_keys=True, separators=(",", ":"))
        return blake3(text.encode()).hexdigest()


def cache_key(prepared: Prepared) -> CacheKey:
    """The key of a prepared build."""
    recipe, read = prepared.recipe, prepared.reading
    return CacheKey(
        {
            "syntax": [read.syntax, read.escape],
            "instructions": read.instructions,
            "build args": {**read.arguments, **_args_without_arg(prepared)},
            "platform": str(recipe.platform) if recipe.platform else "",
            "labels": dict(recipe.labels),
            "options": ["".join(option.argv()) for option in recipe.options],
            "network": "" if recipe.network == "default" else recipe.network,
            "hosts": _by_name(recipe.hosts),
            "shm size": recipe.shm_size or "",
            "ulimits": {limit.name: str(limit) for limit in recipe.ulimits},
            "secrets": sorted(secret.id for secret in recipe.secrets),
            "ssh": sorted(recipe.ssh),
            "build contexts": {name: found.tree.digest for name, found in prepared.directories.items()},
            "source date epoch": recipe.source_date_epoch,
            "context": prepared.tree.digest,
            "base images": {name: image.id for name, image in prepared.bases.items()},
        }
    )


def not_skippable(prepared: Prepared) -> str | None:
    """Why a build cannot be skipped though its key is known, or None."""
    recipe = prepared.recipe
    for url in prepared.reading.unchecked:
        return f"`ADD {url}` has no --checksum, and what is there may have changed"
    for name in prepared.reading.bases:
        if name not in prepared.bases and name not in prepared.directories:
            return f"the base image `{name}` is not here yet"
    for name, image in prepared.bases.items():
        platform = prepared.reading.platforms.get(name)
        wanted = Platform.parse(platform) if platform else recipe.platform
        if wanted and not same_platform(image.platform, wanted):
            return f"the base image `{name}` that is here is for {image.platform}"
    return None


def _by_name(hosts: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """The addresses of each host, in order."""
    found: dict[str, list[str]] = {}
    for name, address in hosts:
        found.setdefault(name, []).append(address)
    return found


def _args_without_arg(prepared: Prepared) -> dict[str, str]:
    """The build args that count though no ARG of the Dockerfile declares them."""
    given = prepared.recipe.build_args
    if prepared.reading.is_foreign or any(image.has_triggers for image in prepared.bases.values()):
        return dict(given)
    return {name: value for name, value in given.items() if name.startswith("BUILDKIT_") or name == EPOCH_ARG}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What changed from one key's parts to another's, each in a few words.

    >>> differences({"build args": {"A": "1"}, "context": "x"}, {"build args": {"A": "2"}, "context": "x"})
    ['build args: `A` changed']
    """
    found = []
    for part in sorted({*old, *new}):
        before, after = old.get(part), new.get(part)
        if before != after:
            found += [f"{part}: {what}" for what in _told(before, after)]
    return found


def _told(before: Any, after: Any) -> list[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        added = [f"`{name}` is new" for name in after if name not in before]
        removed = [f"`{name}` is gone" for name in before if name not in after]
        return (
            added + removed + [f"`{name}` changed" for name in after if name in before and after[name] != before[name]]
        )
    if isinstance(before, list) and isinstance(after, list):
        new = [one for one in after if one not in before]
        return [f"`{_short(one)}` is new" for one in new[:3]] or ["fewer, or in another order"]
    return ["changed"]


def _short(value: Any) -> str:
    words = [one for one in value if not isinstance(one, bool)] if isinstance(value, list) else [value]
    text = " ".join(map(str, words))
    return text if len(text) <= 80 else f"{text[:79]}…"
