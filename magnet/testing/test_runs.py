"""A container runs what was asked for, sees what it was given, and tells how it ended."""

import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from magnet.testing.program import PREFIX, Magnet


def test_stdout_and_stderr_are_the_containers_own_byte_for_byte(magnet: Magnet, base: str) -> None:
    result = magnet("run", "--rm", base, "sh", "-c", r"printf 'a\n\0\377no newline'; echo err >&2; exit 7")
    assert (result.code, result.out) == (7, b"a\n\0\xffno newline")
    assert [line for line in result.err.splitlines() if line in ("err",) or "exit status" in line] == ["err"]
    assert result.error == (
        "error: target `run`: `sh -c printf 'a\\n\\0\\377no newline'; echo err >&2; exit 7` failed with exit code 7 in "
        "its container\n"
    )


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 125"], 125),
        (["nosuch"], 127),
        (["/nosuch"], 127),
        (["/etc"], 126),
        (["sh", "-c", "sleep 100 & kill -9 $!; wait $!"], 137),
    ],
    ids=["0", "125", "not found", "no such file", "not executable", "killed"],
)
def test_the_exit_code_is_the_containers(magnet: Magnet, base: str, command: list[str], code: int) -> None:
    assert magnet("run", "--rm", base, *command).code == code


def test_env_is_passed_whole(magnet: Magnet, base: str) -> None:
    words = ["-e", "A=b = c", "-e", "B='q' \"d\" $HOME", "-e", "C=line 1\nline 2", "-e", "D="]
    out = magnet.ok("run", "--rm", *words, base, "sh", "-c", r'printf "%s|" "$A" "$B" "$C" "${D-unset}"')
    assert out == b"b = c|'q' \"d\" $HOME|line 1\nline 2||"


def test_an_images_entrypoint_and_command_run_and_can_be_overridden(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"Dockerfile": f'FROM {base}\nENTRYPOINT ["echo", "entry"]\nCMD ["default"]\n'})
    magnet.ok("build", "-t", tag, ".")
    assert magnet.ok("run", "--rm", tag) == b"entry default\n"
    assert magnet.ok("run", "--rm", tag, "given") == b"entry given\n"
    assert magnet.ok("run", "--rm", "--entrypoint", "printf", tag, "over") == b"over"


def test_the_working_directory_is_the_one_that_was_asked_for(magnet: Magnet, base: str) -> None:
    assert magnet.ok("run", "--rm", "-w", "/bin", base, "pwd") == b"/bin\n"


def test_files_of_user_host_belong_to_the_caller(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write({"Dockerfile": f"FROM {base}\nUSER 4321:4321\n"})
    magnet.ok("build", "-t", tag, ".")
    (magnet.root / "out").mkdir()
    magnet.ok("run", "--rm", "-u", "host", "-v", "./out:/out", tag, "sh", "-c", "mkdir -p /out/d && touch /out/d/f")
    made = [(magnet.root / "out" / name).stat() for name in ("d", "d/f")]
    assert [(one.st_uid, one.st_gid) for one in made] == [(os.getuid(), os.getgid())] * 2


def test_a_users_id_is_the_one_that_was_asked_for(magnet: Magnet, base: str) -> None:
    out = magnet.ok("run", "--rm", "-u", "1234:1235", base, "sh", "-c", "echo $(id -u):$(id -g)")
    assert out == b"1234:1235\n"


def test_mounts_show_odd_paths_and_refuse_writes_when_read_only(magnet: Magnet, base: str) -> None:
    odd = magnet.root / 'a,b "c": d'
    odd.mkdir()
    (odd / "f").write_text("here")
    magnet.write(
        {
            "magnetfile.py": "from magnet import Mount, target\n\n@target\ndef go(t):\n"
            f"    t.run({base!r}, 'sh', '-c', 'cat /m/f; touch /m/g 2>/dev/null || echo refused',\n"
            "          mounts=[Mount('a,b \"c\": d', '/m', readonly=True, consistency='cached')], attach=True)\n"
        }
    )
    assert magnet.ok("go") == b"hererefused\n"
    assert sorted(os.listdir(odd)) == ["f"]


def test_a_missing_mount_source_is_an_error_and_is_not_made(magnet: Magnet, base: str) -> None:
    result = magnet("run", "--rm", "-v", "./nosuch:/x", base, "true")
    assert (result.code, result.error) == (
        2,
        f"error: target `run`: the source of a mount does not exist: {magnet.root}/nosuch\n"
        "hint: create it first, or correct the path; it is relative to the magnetfile's directory\n",
    )
    assert not (magnet.root / "nosuch").exists()


def test_without_a_network_there_is_only_loopback(magnet: Magnet, base: str) -> None:
    words = ("run", "--rm", "--network", "none", base, "cat", "/proc/net/dev")
    if not magnet.can("network"):
        assert "cannot run with the network `none`: the container would have this machine's\n" in magnet.refused(*words)
    else:
        devices = magnet.ok(*words).decode().splitlines()[2:]
        assert [line.split(":")[0].strip() for line in devices] == ["lo"]


def test_a_read_only_root_cannot_be_written_to_anywhere(magnet: Magnet, base: str) -> None:
    words = ("run", "--rm", "--read-only", base, "sh", "-c", "touch /a /tmp/b /run/c 2>/dev/null; ls -A /tmp")
    if not magnet.can("read-only"):
        assert "cannot run with a read-only root\n" in magnet.refused(*words)
    else:
        assert magnet.ok(*words) == b""


def test_stdin_reaches_the_command_only_when_asked_for(magnet: Magnet, base: str) -> None:
    assert magnet.ok("run", "--rm", "-i", base, "cat", stdin=b"in\0put") == b"in\0put"
    assert magnet.ok("run", "--rm", base, "cat", stdin=b"input") == b""


def test_a_terminal_is_given_to_the_command(magnet: Magnet, base: str) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        magnet.argv("run", "--rm", "-it", base, "sh", "-c", "test -t 0 && echo is a terminal; exit 5"),
        cwd=magnet.root, env=magnet.env, stdin=follower, stdout=follower, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(follower)
    said = b""
    try:
        while chunk := os.read(leader, 4096):
            said += chunk
    except OSError:
        pass  # how a terminal ends
    os.close(leader)
    assert (process.wait(60), b"is a terminal\r\n" in said) == (5, True)


def test_a_terminal_that_is_not_there_is_an_error(magnet: Magnet, base: str) -> None:
    result = magnet("run", "--rm", "-t", base, "true")
    assert (result.code, result.error) == (
        2,
        "error: target `run`: `tty` needs a terminal, and stdin is none\nhint: leave out `tty` (`-t`)\n",
    )


def test_what_is_removed_is_gone_and_what_is_kept_stays(magnet: Magnet, base: str) -> None:
    magnet.ok("run", "--rm", base, "true")
    assert magnet.containers("run") == []
    magnet.ok("run", base, "true")
    kept = magnet.containers("run")
    assert len(kept) == 1
    magnet.remove_containers(kept)
    assert magnet.containers("run") == []


def test_a_missing_image_that_must_not_be_pulled_is_an_error(magnet: Magnet) -> None:
    result = magnet("run", "--pull=never", f"{PREFIX}-nosuch", "true")
    assert result.code == 3
    assert re.sub(r"in \w+ .+,", "in ENGINE,", result.error) == (
        f"error: target `run`: no image `{PREFIX}-nosuch` in ENGINE, and `pull` is `never`\n"
        "hint: build or pull the image first\n"
    )


def test_an_empty_file_system_in_memory_is_the_same_on_every_engine(magnet: Magnet, base: str, tag: str) -> None:
    # Runc 1.1 gives it the mode of a directory that the image has there.
    magnet.write({"Dockerfile": f"FROM {base}\nRUN mkdir -m 1777 /t && touch /t/of-the-image\nUSER 4321\n"})
    magnet.ok("build", "-t", tag, ".")
    shown = (
        'awk \'$2 == "/t" || $2 == "/u" { print $2, $3, $4 }\' /proc/mounts | sort; touch /t/f; ls -A /t;'
        " stat -c '%a %n' /t /u"
    )
    options = ["--tmpfs", "/t", "--mount", "type=tmpfs,target=/u,tmpfs-size=64m,tmpfs-mode=750"]
    lines = magnet.ok("run", "--rm", *options, tag, "sh", "-c", shown).decode().splitlines()
    # A rootless engine's mounts tell whose they are.
    flags = [[flag for flag in line.split()[2].split(",") if "id=" not in flag] for line in lines[:2]]
    assert [sorted(one) for one in flags] == [
        ["nodev", "noexec", "nosuid", "relatime", "rw"],
        ["mode=750", "nodev", "noexec", "nosuid", "relatime", "rw", "size=65536k"],
    ]
    assert lines[2:] == ["f", "1777 /t", "750 /u"]


def test_a_container_sees_its_image_and_what_it_was_given_and_nothing_of_this_machine(
    magnet: Magnet, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:1")
    magnet.write({"variables": "Q='q' \"d\"\n# comment\n"})
    shown = "env; awk '/^[1-9].*[0-9.]/ { print $2 }' /etc/hosts"
    out = magnet.ok("run", "--rm", "--env-file", "variables", "-e", "A=1", base, "sh", "-c", shown).decode()
    own = next(line for line in out.splitlines() if line.startswith("HOSTNAME=magnet-")).removeprefix("HOSTNAME=")
    # The shell adds two variables of its own.
    assert sorted(out.splitlines()) == sorted(
        [
            "A=1", "Q='q' \"d\"", "HOME=/", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            f"HOSTNAME={own}", "PWD=/", "SHLVL=1", "localhost", own,
        ]
    )  # fmt: skip


def test_a_working_directory_that_is_not_there_is_made_and_belongs_to_root(magnet: Magnet, base: str) -> None:
    for user in ("0", "4321:4322"):
        command = ("sh", "-c", "pwd; stat -c '%u:%g %a' . ..; id -u")
        out = magnet.ok("run", "--rm", "-u", user, "-w", "/not/there", base, *command)
        assert out.decode().split() == ["/not/there", "0:0", "755", "0:0", "755", user.split(":")[0]]


def test_a_secret_is_a_file_that_any_user_may_read_and_stands_on_no_command_line(
    magnet: Magnet, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "of\nthe 'environment'")
    magnet.write(
        {
            "password": "of a file",
            ".env": "IMPORTED=of-dotenv",
            "magnetfile.py": "from magnet import Secret, env, import_env, target\n\nimport_env('.env')\n"
            "TOKEN = env('TOKEN', secret=True)\n\n@target\n"
            "def go(t):\n"
            "    t.run(\n"
            f"        {base!r}, 'sh', '-c', 'cd /run/secrets; cat p t i; printf %s \"$V\"; id -u',\n"
            "        secrets=[Secret('p', file='password'), Secret('t', env='TOKEN'), Secret('i', env='IMPORTED')],\n"
            "        env={'V': TOKEN}, user='4321', attach=True,\n"
            "    )\n",
        }
    )
    assert magnet.ok("go") == b"************4321\n"
    log = magnet.log("go")
    assert "of a file" not in log
    assert "environment" not in log
    assert "of-dotenv" not in log
    assert list((magnet.root / "_build").rglob("secrets")) == []


def test_the_log_has_the_exact_command_and_all_output(magnet: Magnet, base: str, tmp_path: Path) -> None:
    magnet.ok("run", "--rm", "-e", "hello=world", base, "sh", "-c", "echo $hello")
    lines = magnet.log("run").splitlines()
    assert [line.split(":")[0] for line in lines[:6]] == ["Name", "Digest", "Cached", "Started", "Completed", "-----"]
    (command,) = [line for line in lines if line.startswith("Exec:") and " run " in line]
    assert "--env=hello=world" in command
    assert lines[lines.index(command) + 1] == "world"
    assert [re.split(r"[ :]+", line)[:2] for line in lines[-3:]] == [
        ["Vertex", "Completed"],
        ["Vertex", "Duration"],
        ["-----"],
    ]
