"""What a target can do with images: build, look at, name, send, save and copy them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from magnet.acting import Acting, Words
from magnet.asked import (
    check_outputs,
    epoch,
    epoch_arg,
    image_table,
    limits_of,
    modes_of,
    network_of,
    outputs_of,
    platforms_of,
    pull_policy,
    reference,
    repositories,
    strings,
    texts,
)
from magnet.backends import choose
from magnet.backends.options import BUILD_KEYWORDS, BUILD_OPTIONS, parse_options
from magnet.errors import EngineError, MagnetfileError
from magnet.model import (
    ARCHIVES,
    EMPTY,
    Copy,
    Image,
    ImageListing,
    Modes,
    Network,
    Output,
    OutputType,
    Platform,
    Pull,
    Secret,
    Whole,
    this_machine,
)
from magnet.values import replace

if TYPE_CHECKING:
    from magnet.delivery import Variants
    from magnet.preparation import Recipe


class Imaging(Acting):
    """A running target, and images."""

    def build(
        self,
        directory: Words = ".",
        *,
        tags: Iterable[str] | str = (),
        build_args: Mapping[str, object] | None = None,
        stage: str | int | None = None,
        file: Words | None = None,
        context: Iterable[Copy] | Whole | None = None,
        pull: Pull = "missing",
        no_cache: bool = False,
        labels: Mapping[str, object] | None = None,
        platform: str | None = None,
        platforms: Iterable[str] | str = (),
        options: Iterable[str] = (),
        modes: Modes = "keep",
        network: Network | None = None,
        secrets: Iterable[Secret] = (),
        ssh: Iterable[str] | str = (),
        add_hosts: Mapping[str, str | Iterable[str]] | None = None,
        shm_size: int | str | None = None,
        ulimits: Mapping[str, int | str] | Iterable[str] | str = (),
        build_contexts: Mapping[str, Path | str | Image] | None = None,
        output: Output | Iterable[Output] = (),
        source_date_epoch: int | str | None = None,
        cache_from: Iterable[str] | str = (),
        cache_to: Iterable[str] | str = (),
    ) -> Image:
        """Build an image from a Dockerfile.

        `directory` is the build context, `file` the Dockerfile, otherwise `Dockerfile` or `Containerfile` in it.
        The build sees just the files that the Dockerfile copies and that are not ignored; `context` declares others,
        or takes all with `Whole()`. A build of which nothing has changed is not done again. `stage` is Dockerfile's
        `--target`. `modes="git"` gives files mode 0644, or 0755 where they can be executed, whatever the umask of the
        checkout was.

        For several `platforms` it is one image with all of them, under its tags; returned is what is for this machine,
        or else for the first.

        The steps have the `network` `none`, `host`, or the engine's own for builds; more lines of /etc/hosts
        (`add_hosts`), a /dev/shm of another size, resource limits (`ulimits`), `secrets` in files that no image keeps,
        and SSH agents (`ssh`). `build_contexts` are directories and images that the Dockerfile knows by other names.
        `options` are further options of the engine in the spelling that docker and podman share. `output` is where the
        result is written besides. With a `source_date_epoch`, in seconds since 1970, all that the build adds is of that
        time, and two builds of one key are one image. Steps are taken from repositories of a registry (`cache_from`),
        and left there (`cache_to`). Raises CommandFailed when the build fails, EngineError when the engine cannot do
        it.
        """
        # A run that builds nothing does without.
        from magnet.preparation import Recipe

        recipe = Recipe(
            directory=directory,
            file=file,
            context=context if context is None or isinstance(context, Whole) else tuple(context),
            tags=strings(tags),
            build_args={**epoch_arg(source_date_epoch), **self._public("build arg", build_args)},
            stage=None if stage is None else str(stage),
            pull=pull_policy(pull),
            no_cache=no_cache,
            labels=self._public("label", labels),
            platform=Platform.parse(platform) if platform else None,
            options=parse_options(options, BUILD_OPTIONS, BUILD_KEYWORDS),
            modes=modes_of(modes),
            source_date_epoch=epoch(source_date_epoch),
            cache_from=repositories(cache_from),
            cache_to=repositories(cache_to),
            network=network_of(network),
            secrets=self._secrets(secrets),
            ssh=self._agents(ssh),
            contexts=self._named_contexts(build_contexts),
            **limits_of(add_hosts, shm_size, ulimits),
        )
        outputs = outputs_of(self.project, output)
        if wanted := platforms_of(platform, platforms):
            return self._build_for_each(recipe, wanted, outputs)
        image = self._build(recipe)
        self._deliver([image], recipe.tags, outputs)
        return image

    def _agents(self, ssh: Iterable[str] | str) -> Mapping[str, str]:
        if not ssh:
            return EMPTY
        from magnet.secretfiles import agents  # most builds have none

        return agents(ssh, self.project.root, self._session.environ)

    def _named_contexts(self, contexts: Mapping[str, Path | str | Image] | None) -> Mapping[str, Path | str | Image]:
        if not contexts:
            return {}
        from magnet.namedcontexts import parse  # most builds have none

        return parse(contexts, self.project.root)

    def _build(self, recipe: "Recipe") -> Image:
        from magnet.building import Builder

        session, backend = self._session, self.backend
        if session.watch is not None:
            session.watch.note_build(recipe, self.project.root)
        builder = Builder(backend, self._shell, session.workspace, self._build_name, session.hide, session.imported)
        prepared = builder.prepare(recipe, self.project.root, session.index())
        if session.question is not None:
            return session.question(self._path, builder, prepared) or Image(id="", tags=recipe.tags)
        if session.dry_run:
            return builder.print_command(prepared)
        built = builder.build(prepared, session.index(), force=session.force)
        self._skipped.append(built.is_cached)
        self._took.append(built.took)
        if recipe.tags and os.path.exists(session.workspace.cache / "platforms"):
            self._variants.note(recipe.tags, ())
        return built.image

    def _build_for_each(self, recipe: "Recipe", platforms: Sequence[Platform], outputs: Iterable[Output]) -> Image:
        from magnet.backends.base import same_platform

        check_outputs(outputs)
        images = [self._build(replace(recipe, platform=platform, tags=())) for platform in platforms]
        if self._session.question is not None:
            return Image(id="", tags=recipe.tags)
        own = next((image for image in images if same_platform(image.platform, this_machine())), images[0])
        if recipe.tags and not self._session.dry_run:
            self.backend.retag(own, recipe.tags, self._shell, {})
            self._variants.note(recipe.tags, images)
        self._deliver(images, recipe.tags, outputs)
        return replace(own, tags=recipe.tags, variants=tuple(images))

    @property
    def _variants(self) -> "Variants":
        from magnet.delivery import Variants

        return Variants(self.backend, self._session.workspace)

    def _variants_of(self, image: Image | str) -> tuple[Image, ...]:
        """The images for several platforms that one stands for, if it does."""
        if isinstance(image, str):
            return self._variants.of(image, self._shell)
        found = (self._variants.of(name, self._shell) for name in image.tags)
        return image.variants or next(filter(None, found), ())

    def _deliver(self, images: Sequence[Image], names: Sequence[str], outputs: Iterable[Output]) -> None:
        """Write an image to its outputs; of several platforms there is one of `images` for each."""
        session = self._session
        for output in outputs if session.question is None else ():
            from magnet import delivery

            done = delivery.deliver(self.backend, images, names, output, self._shell, session.workspace)
            self._skipped.append(not done)

    def inspect(self, reference: str) -> Image | None:
        """The image of that name or id in the engine's store, or None."""
        return self.backend.inspect(reference, self._shell)

    def images(self, name: str | None = None) -> tuple[ImageListing, ...]:
        """List the engine's images into the log, all or those of one repository, and return them."""
        command = self.backend.images_command(name)
        self._shell.echo(command)
        if self._session.dry_run:
            return ()
        found = self.backend.images(name)
        for line in image_table(found):
            self.print(line)
        return found

    def tag(self, image: Image | str, *names: str) -> None:
        """Give an image more names."""
        variants = self._variants_of(image)
        self.backend.tag(reference(image), names, self._shell)
        if not self._session.dry_run:
            self._variants.note(names, variants)

    def remove(self, image: Image | str) -> None:
        """Remove an image, or one name of it."""
        self.backend.remove(reference(image), self._shell)

    def pull(self, reference: str, *, platform: str | None = None) -> Image:
        """Fetch an image from its registry, even where one of that name is here."""
        return self.backend.pull(reference, self._shell, platform=Platform.parse(platform) if platform else None)

    def push(self, reference: str) -> None:
        """Send an image to the registry that its name begins with, for all of its platforms."""
        if variants := self._variants_of(reference):
            new = f"localhost/magnet-list:{self._session.workspace.run_id}-{self._session.workspace.number()}"
            self.backend.push_platforms(reference, variants, new, self._shell)
        else:
            self.backend.push(reference, self._shell)

    def save(self, image: Image | str, path: Words, *, format: OutputType = "docker-archive") -> None:
        """Write an image that is here to a file, with its names: a `docker-archive` or an `oci-archive`.

        A file that is there is replaced when the new one is whole, and not at all where that fails.
        """
        if format not in ARCHIVES:
            raise MagnetfileError(f"`{format}` is no archive of an image", hint=f"known are: {', '.join(ARCHIVES)}")
        found, names = self._here(image)
        images = self._variants_of(image) or (found,)
        output = Output(format, self.project.root / path)
        if len(images) > 1:
            check_outputs([output])
        self._deliver(images, names, [output])

    def load(self, path: Words, *, platform: str | None = None) -> Image:
        """Put the image of a docker-archive or an OCI archive into the engine's store, with the names it has there.

        Of an image of several platforms it is the one of `platform`, or else of this machine.
        """
        from magnet import delivery

        wanted = Platform.parse(platform) if platform else None
        self._skipped.append(False)
        with self._session.workspace.scratch() as scratch:
            return delivery.load(self.backend, self.project.root / path, wanted, self._shell, scratch)

    def copy(self, image: Image | str, *, to: str) -> Image:
        """Put an image, with its names, into the store of another engine: `docker`, `podman` or `buildah`.

        The store is that of the same user; the image keeps its id.
        """
        from magnet import delivery

        found, names = self._here(image)
        if self._variants_of(image):
            raise MagnetfileError(
                f"`{reference(image)}` is an image of several platforms, and this copies one",
                hint="save it as an `oci-archive`, and load what is wanted of it there",
            )
        self._skipped.append(False)
        with self._session.workspace.scratch() as scratch:
            return delivery.copy(self.backend, found, names, choose(to), self._shell, scratch)

    def _here(self, image: Image | str) -> tuple[Image, tuple[str, ...]]:
        """An image that is in the engine's store, and the names by which it is meant."""
        named = reference(image)
        names = image.tags if isinstance(image, Image) else () if image.startswith("sha256:") else (image,)
        if self._session.dry_run:
            return Image(id=named), names
        found = self.backend.inspect(named, self._shell)
        if found is None:
            raise EngineError(f"no image `{named}` in {self.backend.engine}", hint="build or pull it first")
        return found, names

    def _public(self, what: str, values: Mapping[str, object] | None) -> dict[str, str]:
        """Values that an image keeps, in which there must be no secret."""
        given = texts(values)
        for name, value in given.items():
            if any(secret in value for secret in self._session.secrets):
                raise MagnetfileError(
                    f"the {what} `{name}` holds a secret, and whoever has the image can read it",
                    hint='hand it over in a file: secrets=[Secret("ID", env="NAME")], RUN --mount=type=secret,id=ID',
                )
        return given
