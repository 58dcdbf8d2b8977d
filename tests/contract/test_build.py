"""Options of builds that not every engine has."""

from tests.contract.engines import Magnet


def test_options_of_a_build_take_effect_or_are_refused(magnet: Magnet, base: str) -> None:
    def build(option: str, command: str) -> bool:
        """Whether the option took effect; else it was refused by name."""
        magnet.write({"Dockerfile": f"FROM {base}\nRUN {command}\n"})
        result = magnet("build", option, "--no-cache", ".")
        refusal = f"cannot do `{option.partition('=')[0]}`: " in result.error
        assert (result.code, refusal) in ((0, False), (3, True)), result.err
        return result.code == 0

    is_old = magnet.column.is_old_buildkit
    assert build("--add-host=foo:10.9.8.7", "grep '10.9.8.7.*foo' /etc/hosts")
    if not magnet.column.is_chroot:
        assert build("--network=none", "! grep -v -e lo: -e Inter -e face /proc/net/dev")
        assert build("--shm-size=32m", "df -m /dev/shm | grep ' 32 '") is not is_old
    assert build("--ulimit=nofile=77:77", "test $(ulimit -n) = 77") is not is_old


def test_a_secret_is_there_for_its_step_only_or_refused(magnet: Magnet, base: str, tag: str) -> None:
    magnet.write(
        {
            "Dockerfile": f"FROM {base}\nRUN --mount=type=secret,id=s cat /run/secrets/s >/len && wc -c </len >/n\n",
            "s": "12345",
        }
    )
    words = ("build", "-t", tag, "--secret", "id=s,src=s", ".")
    if magnet.column.is_legacy:
        assert "cannot do `RUN --mount=type=secret`\n  Dockerfile:2: " in magnet.refused(*words)
        return
    magnet.ok(*words)
    assert magnet.ok("run", "--rm", tag, "sh", "-c", "cat /n; ls /run/secrets 2>/dev/null || :") == b"5\n"
