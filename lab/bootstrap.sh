#!/bin/sh
# Makes .venv from the hash-locked requirements where it is missing or out of date, then runs a command in it:
#
#     sh lab/bootstrap.sh [--dev|--nightly] [--python PATH] [--words TEXT] [COMMAND [ARGUMENT…]]
#
#     --dev          also install what only developers need (requirements-dev.lock)
#     --nightly      and what only the nightly targets need (requirements-nightly.lock)
#     --python PATH  build .venv with this Python
#     --words TEXT   split TEXT as a shell would, quotes included, but run nothing in it; add the words to COMMAND
#
# Needs nothing but a Python and its venv module, or uv. When .venv is up to date, this starts no installer and no
# Python program, only `python -V`: it runs in front of every make target.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
venv=$root/.venv
lock=requirements.lock
chosen=
words=

say() { printf '%s\n' "$*" >&2; }
stop() { say "$*"; exit 2; }

while [ $# -gt 0 ]; do
    case $1 in
        --dev) lock=requirements-dev.lock; shift ;;
        --nightly) lock=requirements-nightly.lock; shift ;;
        --python) chosen=$2; shift 2 ;;
        --words) words=$2; shift 2 ;;
        *) break ;;
    esac
done

# Sets `python` (its real path: a pyenv shim or an activated .venv may not be there tomorrow) and `version` (like 3.12).
# Candidates are run, not only looked up: a pyenv shim exists for versions that are not there.
find_python() {
    probe='import sys
print("%d.%d" % sys.version_info[:2])
print(getattr(sys, "_base_executable", None) or sys.executable)
sys.exit(sys.version_info < (3, 11))'
    old=
    set -- python3 python3.14 python3.13 python3.12 python3.11
    [ -z "$chosen" ] || set -- "$chosen"
    for candidate; do
        if answer=$("$candidate" -c "$probe" 2>/dev/null </dev/null); then
            version=${answer%%
*}
            python=${answer#*
}
            return
        fi
        old=${old:-${answer%%
*}}
    done
    [ -z "$chosen" ] || stop "PYTHON=$chosen is not a Python 3.11 or newer${old:+ (it is $old)}: give the path of one that is."
    stop "This lab needs Python 3.11 or newer and found ${old:+only }${old:-none}: install one (Debian, Ubuntu: sudo apt install python3 python3-venv; Fedora: sudo dnf install python3; macOS: brew install python) or say where it is with 'make PYTHON=/path/to/python3'."
}

# What .venv must have been made from to be current: the folder it stands in (a venv does not survive a move), its
# Python, and the content of the locks (the developers' one is only right together with the other).
key() {
    answer=$("$venv/bin/python" -V 2>/dev/null) || return 1
    answer=${answer#Python }
    printf '%s\n' "$root" "${answer%.*}" "$1 $(cat "$root/requirements.lock" "$root/$1" | cksum)"
}

# Written last, so an interrupted installation has none and is done again.
stamp() { key "$1" >"$venv/.stamp.$$" && mv -f "$venv/.stamp.$$" "$venv/.made-from-$1"; }

is_current() {
    [ -f "$venv/.made-from-$1" ] && made_from=$(key "$1") && [ "$(cat "$venv/.made-from-$1")" = "$made_from" ] || return 1
    [ -z "$chosen" ] || case $made_from in *"
$version
"*) ;; *) return 1 ;; esac
}

install_with_uv() {
    command -v uv >/dev/null || return 1
    [ -x "$venv/bin/python" ] || uv venv --quiet --python "$python" "$venv" || return 1
    uv pip install --quiet --python "$venv/bin/python" --require-hashes -r "$root/$lock"
}

install_with_pip() {
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv" || return 1
    [ -x "$venv/bin/pip" ] || "$venv/bin/python" -m ensurepip --default-pip || return 1 # uv makes a .venv without pip
    "$venv/bin/python" -m pip install --quiet --no-user --no-input --disable-pip-version-check \
        --require-hashes -r "$root/$lock"
}

# In place of installing this repository as a package: it is importable, and `lab` works from any folder. A launcher
# for /bin/sh, because a `#!` line cannot hold a path with a space.
link_repository() {
    set -- "$venv"/lib/python*/site-packages
    printf '%s\n' "$root" >"$1/progressive-security-lab.pth"
    quoted=$(printf '%s' "$venv/bin/python" | sed "s/'/'\\\\''/g")
    cat >"$venv/bin/lab" <<END
#!/bin/sh
# Made by lab/bootstrap.sh. -P: a folder called lab or common where you stand must not be taken for this one.
exec '$quoted' -P -c 'import sys; sys.argv[0] = "lab"; from lab.__main__ import main; sys.exit(main())' "\$@"
END
    chmod +x "$venv/bin/lab"
}

set_up() {
    find_python
    command -v uv >/dev/null || "$python" -c 'import ensurepip, venv; ensurepip.version()' 2>/dev/null ||
        stop "Python $version has no venv module: install it (Debian, Ubuntu: sudo apt install python$version-venv), or install uv, and try again."
    if is_current requirements.lock; then
        say "Adding the developers' tools to .venv (once, about 15 s) …"
    else
        say "Setting up .venv (once, about 15 s) …"
    fi

    # Three terminals may start the lab at once. The lock is the kernel's, so it ends with this process in any case.
    exec 9<"$root/requirements.lock"
    "$python" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)' 2>/dev/null || true
    if ! is_current "$lock"; then
        # On top of what `make stage-1 demo` installed, the developers' packages are only added.
        is_current requirements.lock || rm -rf "$venv" 2>/dev/null ||
            stop "$venv is out of date and cannot be replaced (does it belong to somebody else?): remove it and try again."
        output=$({ install_with_uv || install_with_pip; } 2>&1) || {
            say "Setting up .venv failed: if this machine is offline, connect it and try again. The installer's last words:"
            stop "$(printf '%s\n' "$output" | tail -n 5)"
        }
        link_repository
        stamp requirements.lock
        [ "$lock" = requirements.lock ] || stamp "$lock"
        if [ "$(uname -s)" = Linux ] && ! (PATH=$PATH:/usr/sbin:/sbin && command -v ip >/dev/null); then
            say "The command 'ip' is missing, so the lab runs on loopback instead of a LAN of its own: install it (Debian, Ubuntu: sudo apt install iproute2; Fedora: sudo dnf install iproute)."
        fi
    fi
    exec 9<&-
}

[ -z "$chosen" ] || find_python
is_current "$lock" || set_up

if [ -n "$words" ]; then
    # xargs knows quotes and nothing else of the shell: no variable, command or wildcard in TEXT is expanded.
    listed=$(printf '%s\n' "$words" | xargs printf '%s\n' 2>/dev/null) ||
        stop "ARGS has a quote that is not closed: $words"
    set -f
    IFS='
'
    # shellcheck disable=SC2086  # one word a line, split here on purpose
    set -- "$@" $listed
    unset IFS
fi

[ $# -gt 0 ] || exit 0
command=$1
shift
# A `make` started inside (by a test, or a person's own) is not a part of this one.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
exec "$venv/bin/$command" "$@"
