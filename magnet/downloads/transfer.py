"""One transfer: asked for, gone on with where it broke off, until the file is whole."""

from collections.abc import Callable, Mapping

from magnet.downloads.client import Answer, asking
from magnet.downloads.partial import Partial, Validators
from magnet.downloads.patience import Patience, Transient, rest, tired
from magnet.downloads.telling import Telling
from magnet.downloads.urls import Source
from magnet.errors import MagnetError
from magnet.printing import size as shown_size


class Transfer:
    """Brings what a URL gives into a partial file. `check` is called often, and raises when it is to end.

    `known` are the validators of a file of this URL that is here and whole: it is not brought if it is still that.
    """

    def __init__(
        self,
        source: Source,
        partial: Partial,
        known: Validators | None,
        *,
        telling: Telling,
        check: Callable[[], None],
        environ: Mapping[str, str],
        patience: Patience,
    ) -> None:
        self._source = source
        self._partial = partial
        self._known = known
        self._telling = telling
        self._check = check
        self._environ = environ
        self._patience = patience
        self.was_resumed = False

    def bring(self) -> bool:
        """Whether there is a file now in `partial`; else what is known is still what the URL gives."""
        failures, furthest = 0, self._partial.size
        while True:
            try:
                return self._attempt()
            except Transient as error:
                # One that gets no further than those before is no step ahead, though it may have brought bytes again.
                failures = 1 if self._partial.size > furthest else failures + 1
                furthest = max(furthest, self._partial.size)
                if end := tired(error, failures, self._patience):
                    raise end from error
                wait = self._patience.wait(failures) if error.after is None else error.after
                self._telling.say(f"{_sentence(str(error))}; trying again in {wait:.1f}s")
                rest(wait, self._check)

    def _attempt(self) -> bool:
        self._check()
        begin = self._partial.size if self._partial.validators.condition else 0
        with asking(self._source, self._headers(begin), self._environ, self._patience) as answer:
            if answer.status == 304 and self._known is not None:
                return False
            if answer.status == 416 and begin:
                self._partial.drop()
                raise Transient("there is nothing more of what the file was", after=0)
            answer.check()
            total = self._begin(answer, begin)
            self._read(answer, total)
        if total is not None and self._partial.size != total:
            self._partial.note()
            raise Transient("the connection ended before the file did")
        return True

    def _headers(self, begin: int) -> Mapping[str, str]:
        if begin:
            return {"Range": f"bytes={begin}-", "If-Range": self._partial.validators.condition or ""}
        known = self._known or Validators()
        conditions = {"If-None-Match": known.etag, "If-Modified-Since": known.last_modified}
        return {name: value for name, value in conditions.items() if value}

    def _begin(self, answer: Answer, begin: int) -> int | None:
        """Go on where the answer does, and return how long the whole is, where the server says so."""
        if answer.status != 206:
            self._partial.begin(answer.validators)
            return answer.length
        first, total = answer.range or (None, None)
        if not begin or first != begin or not _is_of_one(answer.validators, self._partial.validators):
            self._partial.drop()
            raise Transient("the server sent another part than was asked for", after=0)
        self.was_resumed = True
        self._telling.say(f"Going on after {shown_size(begin)}")
        if total is None and answer.length is not None:
            return begin + answer.length
        return total

    def _read(self, answer: Answer, total: int | None) -> None:
        begin = self._partial.size
        what = f"transferring after {shown_size(begin)}" if begin else "transferring"
        # What was there before took no time now: the rate and the time left are those of the rest.
        with self._telling.measure(what, 0 if total is None else total - begin) as advance:
            try:
                for block in answer.blocks():
                    self._check()
                    self._partial.write(block)
                    advance(len(block))
                    if total is not None and self._partial.size > total:
                        self._partial.drop()
                        raise MagnetError("the server sent more than it said")
            finally:
                self._partial.note()


def _is_of_one(new: Validators, old: Validators) -> bool:
    """Whether a part is of what came before, as far as the server says what it is of."""
    return new.etag in (None, old.etag) if old.etag else new.last_modified in (None, old.last_modified)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
