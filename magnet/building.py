"""One build: found done by its key, or done by the engine."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from magnet.backends.base import Backend
from magnet.cache import BuildCache, BuildName, Hit, last_references, reference
from magnet.errors import BuildFailed
from magnet.events import SolveStatus, VertexWarning
from magnet.index import FileIndex
from magnet.key import cache_key, not_skippable
from magnet.memory import Memory
from magnet.model import EMPTY, BuildRequest, Image
from magnet.preparation import (
    SECRETS,
    Prepared,
    Recipe,
    defeats_layer_cache,
    dockerfile_of,
    is_another_ones,
    is_still_so,
    prepare,
    request,
)
from magnet.process import Shell, import_what_watches
from magnet.values import frozen, replace
from magnet.workspace import Workspace

UNFINISHED = "localhost/magnet-unfinished"
"""The repository of images that are there for the length of their build."""


@frozen
class Answer:
    """What is known of a build before it is done: whether it is done already, and if not, why not."""

    is_done: bool
    reasons: tuple[str, ...] = ()
    image: Image | None = None


@frozen
class Built:
    """The image of a build, and whether it was there already; then `took` is what it took to make it, where known."""

    image: Image
    is_cached: bool = False
    took: int | None = None


@frozen
class Builder:
    """Does a build of a target, or finds it done. `hide` is told of secrets before an engine sees them.

    Secrets may be the values of variables that are `imported`, and not in the environment.
    """

    backend: Backend
    shell: Shell
    workspace: Workspace
    target: str
    hide: Callable[[Iterable[str]], None] = lambda _: None
    imported: Mapping[str, str] = EMPTY

    def prepare(self, recipe: Recipe, root: Path, index: FileIndex) -> Prepared:
        """Find out what goes into a build of the project at `root`, without building anything."""
        last = last_references(self.workspace.cache, self._name(recipe, dockerfile_of(recipe, root)))
        return prepare(recipe, root, self.backend, self.shell, index, self._memory, also=last)

    def build(self, prepared: Prepared, index: FileIndex, *, force: bool = False) -> Built:
        """The image, and whether it was there already; `force` builds it anyway.

        Files may change during the build: there is an image then, but no key.
        """
        if not_skippable(prepared):
            return Built(self._by_engine(prepared))
        key = cache_key(prepared)
        force = force or prepared.recipe.no_cache
        with self._cache(prepared).claim(key, lambda: self.shell.children.must_end, force=force) as found:
            if isinstance(found, Hit):
                self.shell.say(f"CACHED {reference(key.digest)}")
                self.backend.retag(found.image, prepared.recipe.tags, self.shell, prepared.seen)
                return Built(replace(found.image, tags=prepared.recipe.tags), is_cached=True, took=found.took)
            began = self.shell.clock()
            image = self._by_engine(prepared)
            if is_still_so(prepared, index, self.backend, self.shell, self._memory):
                found.save(image, files(prepared), took=self.shell.clock() - began)
            else:
                self.shell.say("Files of the build changed while it ran, so that its image gets no key.")
        return Built(image)

    def ask(self, prepared: Prepared) -> Answer:
        """Whether the build is done, without doing it."""
        if prepared.recipe.no_cache:
            return Answer(False, ("`no_cache` was asked for",))
        if why := not_skippable(prepared):
            return Answer(False, (why,))
        key = cache_key(prepared)
        if hit := self._cache(prepared).look_up(key):
            return Answer(True, image=hit.image)
        return Answer(False, self._cache(prepared).reasons(key, lambda: files(prepared)))

    def print_command(self, prepared: Prepared) -> Image:
        """Print what would be run, and run nothing."""
        with self.workspace.scratch() as scratch:
            asked, _ = self._asked(prepared, scratch)
            return self.backend.build(asked, self.shell)

    def _by_engine(self, prepared: Prepared) -> Image:
        import_what_watches()
        with self.workspace.scratch() as scratch:
            asked, check_owners = self._asked(prepared, scratch)
            self._hand_over_secrets(prepared.recipe, scratch)
            with self._explaining(prepared):
                check_owners()
            if defeats_layer_cache(prepared, self.backend):
                asked = replace(asked, no_cache=True)
            if prepared.recipe.source_date_epoch is not None:
                return self._of_its_time(asked, prepared, prepared.recipe.source_date_epoch)
            return self._of_its_platform(asked, prepared)

    def _of_its_platform(self, asked: BuildRequest, prepared: Prepared) -> Image:
        image = self._built(asked, prepared)
        if is_another_ones(image, prepared, self.backend):
            image = self._built(replace(asked, no_cache=True), prepared)
        return image

    def _of_its_time(self, asked: BuildRequest, prepared: Prepared, epoch: int) -> Image:
        """The image with that time in all that the build adds; the one that the engine builds is but its raw material.

        That goes afterwards, where it is nothing that the layer cache lives on.
        """
        from magnet import delivery  # most builds have no time of their own

        name = f"{UNFINISHED}:{self.workspace.run_id}-{self.workspace.number()}"
        names = () if self.backend.builder.caches_images else (name,)
        try:
            built = self._of_its_platform(replace(asked, tags=names), prepared)
            with self.workspace.scratch() as scratch:
                bases = [image.layers for image in prepared.bases.values()]
                image = delivery.set_time(self.backend, built, bases, epoch, self.shell, scratch)
        finally:
            if names and self.backend.inspect(name, self.shell):
                self.shell.clean(self.backend.remove_command(name))
        if asked.tags:
            self.backend.tag(image.id, asked.tags, self.shell)
        return replace(image, tags=asked.tags)

    def _hand_over_secrets(self, recipe: Recipe, scratch: Path) -> None:
        if recipe.secrets:
            from magnet import secretfiles  # most builds have none

            values = secretfiles.read(recipe.secrets, {**self.imported, **self.shell.env})
            self.hide(value.decode(errors="surrogateescape") for value in values.values())
            secretfiles.write(values, scratch / SECRETS)

    def _asked(self, prepared: Prepared, scratch: Path) -> tuple[BuildRequest, Callable[[], None]]:
        """What the engine is asked for, which has been compared with what it can, and what is to be checked before."""
        from magnet import preflight  # it reads the Dockerfile anew, and a build that is found done does without

        plan = preflight.check(prepared, self.backend)
        self._warn_of(plan.unused)
        shell = self.shell
        asked = request(prepared, self.backend, scratch, dry_run=shell.dry_run, measure=shell.measure)
        asked = preflight.adapted(asked, plan, prepared, self.backend, scratch)
        return asked, lambda: preflight.check_owners(asked, plan, prepared, self.backend, shell)

    def _warn_of(self, unused: Iterable[str]) -> None:
        said = [f"no instruction uses the build arg `{name}`" for name in unused]
        if said and not self.shell.dry_run:
            warnings = tuple(VertexWarning(self.shell.vertex, line) for line in said)
            self.shell.follow(SolveStatus(warnings=warnings))

    def _built(self, asked: BuildRequest, prepared: Prepared) -> Image:
        with self._explaining(prepared):
            return self.backend.build(asked, self.shell)

    @contextmanager
    def _explaining(self, prepared: Prepared) -> Iterator[None]:
        """Let a failure tell where in the Dockerfile it was, and what may help."""
        try:
            yield
        except BuildFailed as error:
            from magnet import excerpt, hints  # only a failure needs them

            if found := excerpt.find(prepared.dockerfile, error.step):
                error.place, error.excerpt = (str(found.file), found.first, found.last), found.lines
            error.hint = error.hint or hints.hint(error.step, (*error.said, *error.detail), self.backend.name)
            raise

    def _cache(self, prepared: Prepared) -> BuildCache:
        name = self._name(prepared.recipe, prepared.dockerfile)
        return BuildCache(self.backend, self.shell, self.workspace.cache, name, prepared.seen)

    @property
    def _memory(self) -> Memory:
        return Memory(self.workspace.cache / "readings")

    def _name(self, recipe: Recipe, dockerfile: Path) -> BuildName:
        platform = str(recipe.platform or "")
        return BuildName(self.target, str(dockerfile), recipe.stage, str(recipe.directory), platform)


def files(prepared: Prepared) -> Mapping[str, str]:
    """The entries of a build's context, by path: the kind and mode of each, and the digest of its content."""
    contents = prepared.tree.contents
    return {
        entry.path.decode(errors="backslashreplace"): f"{entry.kind} {entry.mode:o} "
        f"{contents.get(entry.source, '') if entry.kind == 'file' else entry.target.hex()}"
        for entry in prepared.tree.entries
    }
