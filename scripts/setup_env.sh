#!/usr/bin/env bash
# Makes .venv what mmwsl is developed and tested with, or leaves it alone if it
# is that already. Safe to interrupt and to run again: every step looks at what
# is there first.
#
#   PYTHON       the interpreter for a new .venv      (python3.11, else python3)
#   MMWSL_VENV   where the environment is             (.venv)
#   MMWSL_WHEELS where built mmcv wheels are kept     (~/.cache/mmwsl/wheels)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=${MMWSL_VENV:-.venv}
wheels=${MMWSL_WHEELS:-${XDG_CACHE_HOME:-$HOME/.cache}/mmwsl/wheels}
py=$venv/bin/python
stamp=$venv/.mmwsl-setup
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '[setup] %s\n' "$*"; }

# Python compiles what is imported, which is a third of the 20,000 files.
install() {
    "$py" -m pip install --quiet --no-compile \
        -c requirements/constraints.txt "$@"
}

pinned() { sed -n "s/^$1==//p" requirements/constraints.txt; }

# The version of an installed distribution, or nothing.
installed() {
    "$py" -c 'import sys
from importlib import metadata
try:
    print(metadata.version(sys.argv[1]))
except metadata.PackageNotFoundError:
    pass' "$1"
}

ops_work() {
    [[ $(installed mmcv) == "$(pinned mmcv)" ]] &&
        "$py" -c 'import mmcv._ext' >/dev/null 2>&1
}

# The folder is in the key because an editable install points at it.
key() {
    { pwd && cat requirements/*.txt setup.py setup.cfg scripts/setup_env.sh; } |
        sha256sum | cut -d ' ' -f 1
}

make_venv() {
    if ! "$py" -m pip --version >/dev/null 2>&1; then
        local python=${PYTHON:-$(command -v python3.11 || command -v python3)}
        say "making $venv with $("$python" --version)"
        "$python" -m venv "$venv"
    fi
    install -r requirements/build.txt
}

install_torch() {
    # An installed build for the CPU or another CUDA fits as well.
    if [[ $(installed torch) != "$(pinned torch)"* ||
        $(installed torchvision) != "$(pinned torchvision)"* ]]; then
        say "installing torch $(pinned torch) (a large download)"
        install -r requirements/torch.txt
    fi
}

install_wheel() {
    say "installing $1"
    "$py" -m pip install --quiet --no-deps --no-index --force-reinstall "$1"
    ops_work
}

build_mmcv() {
    local log=$1/build.log pid minutes=0
    say "building mmcv $(pinned mmcv) with its ops from source: about ten" \
        "minutes on two cores, once (log: $log)"
    # Not from pip's cache: that does not tell wheels for different torch
    # versions apart, and the wrong one fails at import.
    CFLAGS=-g0 MMCV_WITH_OPS=1 "$py" -m pip wheel --no-cache-dir \
        --no-build-isolation --no-deps --no-binary mmcv --wheel-dir "$1" \
        "mmcv==$(pinned mmcv)" >"$log" 2>&1 &
    pid=$!
    trap 'kill $pid 2>/dev/null' EXIT
    while kill -0 $pid 2>/dev/null; do
        sleep 1
        ((++minutes % 60)) || say "still building ($((minutes / 60)) min)"
    done
    trap - EXIT
    wait $pid || {
        tail -n 20 "$log" >&2
        say "mmcv could not be built; the whole log is $log" >&2
        return 1
    }
}

install_mmcv() {
    local torch folder wheel name
    ops_work && return
    torch=$(installed torch)
    torch=${torch%%+*}
    # Wheels of other Pythons may lie there as well, and stay.
    name=$("$py" -c 'import sys; print("cp%d%d" % sys.version_info[:2])')
    name="mmcv-$(pinned mmcv)-$name-*.whl"
    for wheel in ../shared/wheels/torch"$torch"/$name; do
        [[ -f $wheel ]] && install_wheel "$wheel" && return
    done
    folder=$wheels/torch$torch
    for wheel in "$folder"/$name; do
        [[ -f $wheel ]] || continue
        install_wheel "$wheel" && return
        say "$wheel does not work with torch $torch: building it again"
        rm -f "$wheel"
    done
    mkdir -p "$folder"
    build_mmcv "$folder"
    for wheel in "$folder"/$name; do
        install_wheel "$wheel" && return
    done
    "$py" -c 'import mmcv._ext' # shows why
}

expected=$(key)
if [[ -x $py && -f $stamp && $(<"$stamp") == "$expected" ]]; then
    exit 0
fi
say "setting up $venv: torch, OpenMMLab and mmwsl itself. This happens once;" \
    "building mmcv's ops from source is its longest part, about ten minutes" \
    "on two cores, unless a wheel for this torch is at hand."
make_venv
install_torch
say 'installing OpenMMLab, timm and the tools for tests, linting and docs'
install -r requirements/runtime.txt -r requirements/openmmlab.txt \
    -r requirements/tests.txt -r requirements/dev.txt \
    -r requirements/docs.txt
install_mmcv
say 'installing mmwsl (editable)'
install --no-deps --no-build-isolation -e .
"$py" -m mmwsl.doctor
printf '%s' "$expected" >"$stamp"
say 'done'
