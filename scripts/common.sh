# What the scripts share. Sourced, not run.

fail() { # fail MESSAGE HINT
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "this needs root: $*" "run that command as root, and start again"
    fi
}

install_packages() { # install_packages PACKAGE...
    command -v apt-get >/dev/null || fail "missing here: $*" "install them with this system's package manager"
    printf 'Installing %s\n' "$*" >&2
    log=$(mktemp)
    # The lists may be older than the mirror, or may never have been fetched.
    if ! apt_install "$@" >"$log" 2>&1 && ! { as_root apt-get update -qq && apt_install "$@"; } >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        fail "apt-get could not install $*" "see above; install them, and start again"
    fi
    rm -f "$log"
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" </dev/null
}

can_make_venv() { # can_make_venv PYTHON
    "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() { # prints a Python that magnet runs on and that can make virtual environments
    for candidate in python3 /usr/bin/python3; do
        if can_make_venv "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    install_packages python3 python3-venv
    can_make_venv /usr/bin/python3 || fail "no Python 3.11 or newer here" "install Python 3.11, and start again"
    echo /usr/bin/python3
}

make_venv() { # make_venv DIRECTORY REQUIREMENT...
    directory=$1
    shift
    [ -x "$directory/bin/pip" ] || "$(find_python)" -m venv "$directory"
    "$directory/bin/pip" install --quiet --disable-pip-version-check "$@" >&2
}

find_python_for() { # find_python_for RUN: prints one that RUN's user may use, too
    local python
    python=$(find_python)
    "$1" "$python" -c 'import venv' 2>/dev/null || python=/usr/bin/python3
    can_make_venv "$python" || install_packages python3 python3-venv
    echo "$python"
}

copies=() # what copy_for has made, for the caller to remove

# copy_for RUN: the project in the home directory of whom RUN runs commands as, to whom it belongs; sets $copy. An
# ordinary user cannot write here, and the newer engines do not see all of this machine's files.
copy_for() {
    copy=$(mktemp -d "$("$1" sh -c 'echo $HOME')/magnet-test.XXXXXX")
    copies+=("$copy")
    git ls-files -z --cached --others --exclude-standard |
        tar --create --null --files-from=- --ignore-failed-read | tar --extract --directory="$copy" --no-same-owner
    chown -R "$("$1" id -u):$("$1" id -g)" "$copy"
}

in_copy() { # in_copy DIRECTORY RUN PYTHON PYTEST-ARGUMENTS...
    cd "$1"
    if [ ! -e .venv ]; then
        "$2" "$3" -m venv .venv
        "$2" .venv/bin/pip install --quiet --disable-pip-version-check --editable '.[dev]'
    fi
    "$2" .venv/bin/pytest "${@:4}"
}
