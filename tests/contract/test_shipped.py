"""The suite that every backend must pass, on the engines of this machine."""

from magnet.testing.test_builds import *  # noqa: F403
from magnet.testing.test_contexts import *  # noqa: F403
from magnet.testing.test_images import *  # noqa: F403
from magnet.testing.test_interrupts import *  # noqa: F403
from magnet.testing.test_keys import *  # noqa: F403
from magnet.testing.test_runs import *  # noqa: F403
