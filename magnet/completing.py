"""Completion in shells: what may stand in the place of a word that is not finished.

The protocol is click's (https://click.palletsprojects.com/en/stable/shell-completion/): a function in the shell runs
magnet with the words in COMP_WORDS and COMP_CWORD, and what to do with them in `_MAGNET_COMPLETE`. What is said here
besides is how the words are split among magnet, its commands and targets.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, FishComplete, ShellComplete, ZshComplete, split_arg_string

from magnet import commandline, owncommands, parameters
from magnet.buildfile import Buildfile, Target
from magnet.owncommands import OWN_COMMANDS

VARIABLE = "_MAGNET_COMPLETE"
"""The environment variable by which a shell asks."""

Load = Callable[[Path | None], Buildfile]


class Completer(ShellComplete):
    """A shell; magnet's own options, a command or the last of the targets is what click is asked about."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """What may stand there."""
        assert isinstance(self.cli, _Magnet)
        words = self.cli.about(args)
        if words is None:
            return []
        found = super().get_completions(words, incomplete)
        return found + self.cli.following(incomplete)


class Bash(Completer):
    """Bash, which takes `:` and `=` for ends of words, and replaces what comes after them."""

    name = "bash"
    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n' response completion type value
    response=$(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_WORDBREAKS="$COMP_WORDBREAKS" \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        case $type in
            dir) COMPREPLY=(); compopt -o dirnames ;;
            file) COMPREPLY=(); compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the cursor, and the one that ends at it."""
        # The letter makes a word of what is begun, be it empty.
        *words, last = split_arg_string(os.environ["COMP_WORDS"] + "x")
        self._incomplete = last[:-1]
        return words[1:], self._incomplete

    def format_completion(self, item: CompletionItem[str]) -> str:
        """The part of a value that is to replace what is there, after its type."""
        breaks = re.escape("".join(set(":=") & set(os.environ.get("COMP_WORDBREAKS", ":="))))
        before = re.match(f".*[{breaks}]", self._incomplete) if breaks else None
        return f"{item.type},{item.value.removeprefix(before[0] if before else '')}"


class Zsh(Completer, ZshComplete):
    """Zsh, which replaces what comes after `=`."""

    source_template = """\
#compdef %(prog_name)s

%(complete_func)s() {
    local -a plain described response
    local type key descr
    (( $+commands[%(prog_name)s] )) || return 1
    response=("${(@f)$(env COMP_WORDS="${(j: :)words[1,CURRENT-1]} ${PREFIX}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null)}")
    [[ $PREFIX == --*=* ]] && compset -P 1 '*='
    for type key descr in "${response[@]}"; do
        case $type in
            dir) _path_files -/ ;;
            file) _path_files -f ;;
            plain) [[ $descr == _ ]] && plain+=("$key") || described+=("$key:$descr") ;;
        esac
    done
    [[ -n $described ]] && _describe -V magnet described
    [[ -n $plain ]] && compadd -V magnet -a plain
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""


class Fish(Completer, FishComplete):
    """Fish, which replaces the whole word."""

    source_template = """\
function %(complete_func)s
    set -l begun (string match --regex -- '^--[^=]*=' (commandline -ct))
    for completion in (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp) \\
            COMP_CWORD=(commandline -ct) %(prog_name)s 2>/dev/null)
        set -l parts (string split --max 1 , -- $completion)
        switch $parts[1]
            case dir
                printf '%%s\\n' "$begun"(__fish_complete_directories $parts[2])
            case file
                printf '%%s\\n' "$begun"(__fish_complete_path $parts[2])
            case plain
                printf '%%s\\n' "$begun$parts[2]"
        end
    end
end

complete --no-files --keep-order --command %(prog_name)s --arguments '(%(complete_func)s)'
"""


SHELLS: Mapping[str, type[Completer]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}
"""The shells, by name."""


def script(shell: str) -> str:
    """What the shell has to run so that it asks."""
    return SHELLS[shell](click.Command("magnet"), {}, "magnet", VARIABLE).source()


def answer(instruction: str, load: Load) -> int:
    """Tell the shell that asks what may stand there; return the exit code.

    Whatever goes wrong is passed over in silence: somebody is typing. What is loaded prints nothing, and reads nothing.
    """
    shell = SHELLS.get(instruction.removesuffix("_complete"))
    if shell is None:
        return 1
    with _silent() as out:
        try:
            text = shell(_Magnet(load), {}, "magnet", VARIABLE).complete()
        except (Exception, SystemExit):
            return 1
        os.write(out, text.encode(errors="surrogateescape") + b"\n")
    return 0


@contextmanager
def _silent() -> Iterator[int]:
    """Let the standard streams lead to nothing; the descriptor of what was the standard output."""
    out = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    yield out


class _Magnet(click.Group):
    """The command line as a group of commands, which are magnet's own and the targets of the magnetfile."""

    def __init__(self, load: Load) -> None:
        outer = commandline.make_command()
        params = [param for param in outer.params if isinstance(param, click.Option)]
        super().__init__("magnet", params=params, context_settings=outer.context_settings)
        self._load = load
        self._outer = outer
        self._loaded: Buildfile | None = None
        self._made: Mapping[str, click.Command] = {}
        self._may_follow = False

    def about(self, args: Sequence[str]) -> list[str] | None:
        """The words without the targets that are complete; None where a word is no target."""
        with self._outer.make_context("magnet", list(args), resilient_parsing=True) as context:
            given = context.params
        words = list(given["words"] or ())
        own = list(args[: len(args) - len(words)])
        self._load_targets(given["directory"], given["file"])
        if words and words[0] in OWN_COMMANDS:
            self._made = {words[0]: owncommands.make(words[0])}
            return own + words
        while words:
            target = self._find(words[0])
            if target is None:
                return None
            command = parameters.make_command(target)
            mine, rest = parameters.split(words[1:], command)
            if not rest:
                self._made = {words[0]: command}
                self._may_follow = parameters.split([*words[1:], "word"], command)[1] == ["word"]
                return [*own, words[0], *mine]
            words = rest
        return own

    def _load_targets(self, directory: Path | None, file: Path | None) -> None:
        try:
            # A shell that completes a word has not expanded the others.
            if directory:
                os.chdir(directory.expanduser())
            self._loaded = self._load(file and file.expanduser())
        except (Exception, SystemExit):
            self._loaded = None

    def _find(self, name: str) -> Target[..., Any] | None:
        names = self._loaded.names if self._loaded else {}
        return names.get(name) or names.get(name.replace("_", "-"))

    def targets(self) -> list[CompletionItem[str]]:
        """The names of the targets, with the first line of their help."""
        names = self._loaded.names if self._loaded else {}
        return [CompletionItem(name, help=target.summary) for name, target in names.items()]

    def following(self, incomplete: str) -> list[CompletionItem[str]]:
        """The targets that may come after the last one, if that has all of its arguments."""
        return [item for item in self.targets() if self._may_follow and item.value.startswith(incomplete)]

    def names(self) -> list[CompletionItem[str]]:
        """The names of the targets and of magnet's own commands."""
        own = [CompletionItem(name, help=command.summary) for name, command in OWN_COMMANDS.items()]
        return self.targets() + own

    def list_commands(self, ctx: click.Context) -> list[str]:
        """What may come first."""
        return [item.value for item in self.names()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command that the words are about; of the others just the name and the help."""
        helps = {item.value: item.help for item in self.names()}
        return self._made.get(cmd_name) or click.Command(cmd_name, short_help=helps.get(cmd_name))
