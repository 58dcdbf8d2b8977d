"""All that a backend of another package needs: see docs/writing-a-backend.md.

What stands here stays as it is, or its change is told in the changelog. The readers of what engines print while they
build are in `magnet.readers`, each to be imported when a build begins.
"""

from magnet.backends.base import Answers, Backend, RunPlan, host_user, image_id
from magnet.backends.buildah import Buildah
from magnet.backends.builders import BUILDERS, Builder
from magnet.backends.containers import buildah_reader, failed_build_step
from magnet.backends.docker import Docker
from magnet.backends.engine import Engine, version_numbers
from magnet.backends.features import features_of
from magnet.backends.podman import Podman
from magnet.backends.requests import build_arguments, mount_value, run_arguments
from magnet.errors import EngineError
from magnet.events import Reader
from magnet.model import (
    RUN_LABEL,
    BuildRequest,
    Command,
    Image,
    ImageListing,
    Mount,
    Option,
    Platform,
    RunRequest,
)
from magnet.process import Completed, Shell, Write, ask, asking

__all__ = [
    "BUILDERS",
    "RUN_LABEL",
    "Answers",
    "Backend",
    "BuildRequest",
    "Buildah",
    "Builder",
    "Command",
    "Completed",
    "Docker",
    "Engine",
    "EngineError",
    "Image",
    "ImageListing",
    "Mount",
    "Option",
    "Platform",
    "Podman",
    "Reader",
    "RunPlan",
    "RunRequest",
    "Shell",
    "Write",
    "ask",
    "asking",
    "build_arguments",
    "buildah_reader",
    "failed_build_step",
    "features_of",
    "host_user",
    "image_id",
    "mount_value",
    "run_arguments",
    "version_numbers",
]
