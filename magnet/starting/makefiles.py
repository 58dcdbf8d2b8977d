"""A Makefile: a target for each of its phony ones, as those are the commands that it is read for."""

import re
from collections.abc import Iterator
from pathlib import Path

from magnet.starting.found import Draft, Found
from magnet.starting.languages import command

# In make's own order: https://www.gnu.org/software/make/manual/html_node/Makefile-Names.html
_NAMES = ("GNUmakefile", "makefile", "Makefile")


def survey(root: Path) -> Iterator[Found]:
    """What there is of it."""
    name = next((name for name in _NAMES if (root / name).is_file()), None)
    if name is None:
        return
    text = (root / name).read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
    phony = list(dict.fromkeys(_phony(text)))
    drafts = [command(one, _help(one, text) or f"Make `{one}`.", "make", one) for one in phony if _is_name(one)]
    left_out = tuple(f"the target `{one}`, whose name is no plain one" for one in phony if not _is_name(one))
    yield Found(
        "make", name, "targets of make", tuple(drafts) or (_whole(),), left_out=(*left_out, *_not_phony(bool(drafts)))
    )


def _whole() -> Draft:
    return command("make", "Make the first target of the Makefile.", "make")


def _not_phony(has_phony: bool) -> Iterator[str]:
    if has_phony:
        yield "targets that are not in .PHONY: they are files"


def _phony(text: str) -> Iterator[str]:
    for names in re.findall(r"^\.PHONY[ ]*::?(?!=)([^#\n]*)", text, re.MULTILINE):
        yield from names.split()


def _is_name(word: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_.][\w./@+-]*", word, re.ASCII) is not None


def _help(name: str, text: str) -> str:
    """The comment that stands after `##` at a rule, as many Makefiles have it for a `make help`."""
    found = re.search(rf"^{re.escape(name)}[ ]*::?(?!=)[^\n]*?##[ ]*(\S[^\n]*)", text, re.MULTILINE)
    return found[1].strip() if found else ""
