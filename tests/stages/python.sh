#!/bin/bash
# The Python module: installs it by pip into a virtual environment, as a user would, and runs its tests.
#
#   tests/stages/python.sh         prints each failure, last a line `N passed, N failed, N skipped`
#   LAVA_PYTHON=python3.13         with this interpreter; else python3, or the newest of 3.11 and later
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
home=$target/lava-tests/python
export CARGO_TARGET_DIR=$target PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
passed=0 failed=0

skip() {
    echo "skipped: $1"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}

result() {
    if [ "$2" = ok ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    echo "$1 ... $2"
}

# An interpreter of at least 3.11 that can make environments, with pip in them.
find_python() {
    local name
    for name in "${LAVA_PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
        "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$name" && return
    done
    return 1
}

if ! python=$(find_python) && command -v apt-get >/dev/null; then
    root=()
    [ "$(id -u)" = 0 ] || root=(sudo)
    "${root[@]}" apt-get update -qq && "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends python3 python3-venv
    python=$(find_python)
fi
[ -n "${python:-}" ] || skip "the module needs Python 3.11 or later, with venv"

mkdir -p "$home"
if ! { "$python" -m venv "$home/venv" && "$home/venv/bin/pip" install --quiet \
    maturin numpy ml_dtypes mpi4py pytest pytest-xdist mypy; } >"$home/pip.log" 2>&1; then
    tail -5 "$home/pip.log"
    skip "pip cannot install maturin, numpy, pytest and mypy"
fi
PATH=$home/venv/bin:$PATH

# Unoptimized, to be built in little time; otherwise what `pip install ./python` does.
if pip install --no-build-isolation --no-deps --force-reinstall --config-settings=build-args="--profile dev --locked" \
    ./python >"$home/build.log" 2>&1; then
    result pip-install ok
else
    tail -60 "$home/build.log"
    result pip-install FAILED
    echo "$passed passed, $failed failed, 0 skipped"
    exit 1
fi
if cargo build --quiet -p lava-tests --bin conformance_rust; then
    export CONFORMANCE_RUST=$target/debug/conformance_rust
else
    result conformance_rust FAILED
fi

# Built by the stage `mpi`, where it ran before.
[ -d "$target/lava-tests/mpi/plugins" ] && export LAVA_PLUGIN_DIR=$target/lava-tests/mpi/plugins
# Built by the stage `conformance`, where it ran before.
[ -x "$target/lava-tests/conformance_c" ] && export CONFORMANCE_C=$target/lava-tests/conformance_c
[ -x "$target/lava-tests/conformance_cpp" ] && export CONFORMANCE_CPP=$target/lava-tests/conformance_cpp

if cargo fmt --version >/dev/null 2>&1; then
    if cargo fmt --manifest-path python/Cargo.toml --all --check; then result format ok; else result format FAILED; fi
fi
# Away from the sources, so that Python finds what was installed.
sources=$PWD/python
cd "$home" || exit 2
if python -m mypy.stubtest lava --ignore-unused-allowlist --allowlist "$sources/tests/stubtest_allowlist.txt" \
    --mypy-config-file "$sources/pyproject.toml" >"$home/stubtest.log" 2>&1; then
    result stubtest ok
else
    tail -40 "$home/stubtest.log"
    result stubtest FAILED
fi
if python -m mypy --strict -p lava >"$home/mypy.log" 2>&1; then
    result mypy ok
else
    tail -40 "$home/mypy.log"
    result mypy FAILED
fi
# Most tests wait for other processes: more of them than processors.
python -X dev "$home/venv/bin/pytest" -c "$sources/pyproject.toml" --import-mode=importlib -q -n 3 --dist worksteal -ra \
    "$sources/tests" >"$home/pytest.log" 2>&1
status=$?
counts=$(grep -E '^[0-9]+ (passed|failed|skipped)|^=+ .*(passed|failed|error)' "$home/pytest.log" | tail -1)
count() { grep -oE "[0-9]+ $1" <<<"$counts" | grep -oE '^[0-9]+' || echo 0; }
passed=$((passed + $(count passed))) failed=$((failed + $(count failed) + $(count error)))
[ "$status" -ne 0 ] && [ "$(count failed)$(count error)" = 00 ] && failed=$((failed + 1))
if [ "$status" -ne 0 ]; then tail -150 "$home/pytest.log"; else grep '^SKIPPED' "$home/pytest.log"; fi
echo "$passed passed, $failed failed, $(count skipped) skipped"
[ "$failed" -eq 0 ]
