"""What is in an image, entry by entry, and what can be done with it."""

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from magnet.model import this_machine
from tests.conformance.behaviours import Behaviour, Case, Section
from tests.conformance.conftest import Judge
from tests.conformance.listing import DIR, added, file, listing, of_base
from tests.contract.comparing import CONFIGURATION, IDENTITY_LABELS, MOUNT_POINTS, Contents, contents, read_tar

SECTION = Section(
    "What is in an image",
    "Root file systems are compared entry by entry with what is written in the suite: path, kind, mode, owner, and the "
    "digest of a file's content or a link's target. Of a configuration these keys are compared: "
    f"{', '.join(f'`{key}`' for key in ('architecture', 'variant', 'os', *CONFIGURATION))}. Left out are the times of "
    f"files, where an engine mounts something into a step and leaves nothing but that "
    f"({', '.join(f'`/{path}`' for path in MOUNT_POINTS)}, where they are empty), a `WorkingDir` of `/`, and the labels "
    f"that an engine adds of itself ({', '.join(f'`{label}`' for label in IDENTITY_LABELS)}).",
)
behaviour = SECTION.behaviour


def test_images(judge: Judge, behaviour: Behaviour, tmp_path: Path) -> None:
    judge(f"images.{behaviour.id}", behaviour, tmp_path)


EVERYTHING = """
ARG BEGIN=BASE
FROM $BEGIN AS first
ARG WHAT=nothing
RUN mkdir -p /first/of && echo $WHAT >/first/of/file && ln -s of/file /first/link

FROM BASE AS unneeded
RUN false

FROM BASE
MAINTAINER someone@example.org
ARG WHAT
ENV ONE=1 TWO="two words" PATH=/app/bin:$PATH
ENV THREE three words
LABEL org.example.what=$WHAT org.example.two="a \\"quoted\\" word"
WORKDIR /app
COPY file ./
COPY --from=first /first first/
ADD t.tar unpacked/
COPY ["with space", "tree", "/app/more/"]
RUN mkdir -m 0700 bin && echo '#!/bin/sh' >bin/go && chown -R 12:34 bin && chmod 4755 bin/go
RUN rm first/link && ln file hard && mkdir -m 1777 sticky && touch sticky/'odd "name'
SHELL ["/bin/sh", "-ec"]
RUN echo from the other shell >shell
EXPOSE 80 53/udp
VOLUME /data
STOPSIGNAL SIGINT
HEALTHCHECK --interval=7s --timeout=3s --retries=2 CMD test -e /app/file
ONBUILD RUN touch /built
USER 12:34
ENTRYPOINT ["/app/bin/go"]
CMD ["--help"]
""".strip().replace("\n\n", "\n")


def _everything(case: Case) -> Contents:
    """The image of the Dockerfile that has every instruction."""
    if "everything" not in case.kept:
        case.files(
            {
                "file": "file\n",
                "with space": "",
                "tree/a/b": "b",
                "tree/c": "c",
                "t.tar": TAR,
                "Dockerfile": f"{EVERYTHING}\n",
            }
        )
        case.build("--build-arg", "WHAT=something")
        case.kept["everything"] = contents(case.magnet, case.name)
    found: Contents = case.kept["everything"]
    return found


TAR = "".join(
    (
        "in", "\0" * 98, "0000640\0" "0000003\0" "0000004\0" "00000000003\0" "00000000000\0", "CHECKSUM", "0", "\0" * 100,
        "ustar\0" "00", "\0" * 247, "in\n", "\0" * 509, "\0" * 1024,
    )
)  # fmt: skip
TAR = TAR.replace("CHECKSUM", f"{sum(map(ord, TAR[:512].replace('CHECKSUM', ' ' * 8))):06o}\0 ")
"""A tar that is text, of a file `in` of mode 0640 that belongs to 3:4."""


@behaviour(
    "The root file system of a Dockerfile with every instruction",
    listing(
        {
            "app": DIR,
            "app/bin": "dir 0700 12:34",
            "app/bin/go": file("#!/bin/sh\n", "4755", "12:34"),
            "app/file": file("file\n"),
            "app/first": DIR,
            "app/first/of": DIR,
            "app/first/of/file": file("something\n"),
            "app/hard": file("file\n"),
            "app/more": DIR,
            "app/more/a": DIR,
            "app/more/a/b": file("b"),
            "app/more/c": file("c"),
            "app/more/with space": file(""),
            "app/shell": file("from the other shell\n"),
            "app/sticky": "dir 1777 0:0",
            'app/sticky/odd "name': file(""),
            "app/unpacked": DIR,
            "app/unpacked/in": file("in\n", "0640", "3:4"),
        }
    ),
)
def every_instruction(case: Case) -> object:
    return listing(added(case, _everything(case)))


PLATFORM = this_machine()


@behaviour(
    "Its configuration, key by key",
    {
        "architecture": PLATFORM.architecture,
        "os": PLATFORM.os,
        **({"variant": PLATFORM.variant} if PLATFORM.variant else {}),
        "Entrypoint": ["/app/bin/go"],
        "Cmd": ["--help"],
        "Env": {"ONE": "1", "TWO": "two words", "THREE": "three words", "PATH": "/app/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        "User": "12:34",
        "WorkingDir": "/app",
        "Labels": {"org.example.what": "something", "org.example.two": 'a "quoted" word'},
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Volumes": {"/data": {}},
        "StopSignal": "SIGINT",
        "Healthcheck": {"Test": ["CMD-SHELL", "test -e /app/file"], "Interval": 7 * 10**9, "Timeout": 3 * 10**9, "Retries": 2},
        "Shell": ["/bin/sh", "-ec"],
        "OnBuild": ["RUN touch /built"],
    },
)  # fmt: skip
def every_instructions_configuration(case: Case) -> object:
    found = dict(_everything(case).configuration)
    found["Labels"] = {name: text for name, text in found["Labels"].items() if name != "magnet-test"}
    return found


@behaviour("A step that does nothing adds nothing: no host name, no `/etc/hosts`, no variable", ({}, True))
def nothing_added(case: Case) -> object:
    case.dockerfile("RUN true")
    case.build()
    found = contents(case.magnet, case.name)
    return added(case, found), found.configuration.get("Env") == of_base(case).configuration.get("Env")


# ---- more than one --------------------------------------------------------------------------------------------------

SAVING = """
from magnet import Output, target


@target
def save(t):
    outputs = [Output("docker-archive", "d.tar"), Output("oci-archive", "o.tar"), Output("tar", "r.tar")]
    t.output(t.build(tags="NAME", output=outputs).id)


@target
def load(t):
    for path in ("d.tar", "o.tar"):
        t.remove("NAME")
        image = t.load(path)
        t.output(f"{image.id} {' '.join(image.tags)}")
"""


@behaviour(
    "`output=` and `t.load`: an image keeps its id and its name through a `docker-archive` and an `oci-archive`; the `tar` "
    "is its root file system, and nothing of what engines put into containers",
    ["ID", "ID NAME", "ID NAME", True],
)
def archives(case: Case) -> object:
    case.files({"magnetfile.py": SAVING, "f": "f"})
    case.dockerfile("FROM scratch", "COPY f /f/g", "LABEL of=NAME")
    image = case.ok("save").strip()
    tar = {path: str(entry) for path, entry in read_tar(case.magnet.root / "r.tar").items()}
    loaded = case.ok("load").splitlines()
    return [*(line.replace(image, "ID") for line in (image, *loaded)), tar == {"f": DIR, "f/g": file("f")}]


COPYING = """
from magnet import target


@target
def copy(t):
    image = t.build(tags="NAME")
    copied = t.copy("NAME", to="OTHER")
    t.output(f"{copied.id == image.id} {' '.join(copied.tags)}")
"""


@behaviour("`t.copy` to another engine's store: the image has its id and its name there", "True NAME\n")
def copied(case: Case) -> object:
    other = _another_engine(case)
    case.files({"magnetfile.py": COPYING.replace("OTHER", other), "f": "f"})
    case.dockerfile("FROM scratch", "COPY f /f/g", "LABEL of=NAME-copied")
    try:
        return case.ok("copy")
    finally:
        subprocess.run([other, "rmi", "--force", case.name], env=case.magnet.env, capture_output=True)


def _another_engine(case: Case) -> str:
    if case.magnet.column.is_rootless:
        return {"podman": "buildah"}.get(case.magnet.column.backend, "podman")
    return "podman" if case.magnet.column.backend == "docker" else "docker"


TIMED = """
from magnet import target


@target
def build(t):
    ids = {t.build(tags="NAME", source_date_epoch=10**9, no_cache=True).id for _ in range(2)}
    t.output(str(len(ids)))
"""


@behaviour(
    "`source_date_epoch=`: two builds of one key without the layer cache are one image, with files of that time",
    ["1", "@1000000000"],
)
def timed(case: Case) -> object:
    case.files({"magnetfile.py": TIMED, "f": "f"})
    case.dockerfile("COPY f /timed/f", "RUN touch /timed/g")
    times = [case.ok("build").strip()]
    found = contents(case.magnet, case.name, times=True).files
    return times + sorted({str(entry).split()[-1] for path, entry in found.items() if path.startswith("timed/")})


PLATFORMS = """
from magnet import Output, target


@target
def build(t):
    t.build(tags="NAME", platforms=["linux/amd64", "linux/arm64"], output=Output("oci-archive", "o.tar"))
"""


@behaviour("`platforms=`: one image with several of them, in an `oci-archive`", ["amd64", "arm64"])
def platforms(case: Case) -> object:
    case.files({"magnetfile.py": PLATFORMS, "f": "f"})
    case.dockerfile("FROM scratch", "COPY f /f")
    case.ok("build")
    with tarfile.open(case.magnet.root / "o.tar") as tar:

        def read(name: str) -> Any:
            found = tar.extractfile(name)
            return json.load(found) if found else None

        (top,) = read("index.json")["manifests"]
        listed = read(f"blobs/sha256/{top['digest'].removeprefix('sha256:')}")
    return sorted(one["platform"]["architecture"] for one in listed["manifests"])


@behaviour(
    "An image that was built as `app` is found as `app`, by `FROM` and by `magnet run`, whatever the engine stores it as",
    "here\n",
)
def short_names(case: Case) -> object:
    short = f"magnet-test-{os.getpid()}-{re.sub('[^a-z0-9]', '-', case.magnet.column.name)}-short"
    case.files({"f": "here\n"})
    case.dockerfile("COPY f /f")
    case.ok("build", "-t", short, ".")
    case.dockerfile(f"FROM {short}", "RUN true")
    case.ok("build", "-t", f"{short}-upon", ".")
    return case.ok("run", "--rm", f"{short}-upon", "cat", "/f")
