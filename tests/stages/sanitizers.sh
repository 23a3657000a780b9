#!/bin/bash
# ThreadSanitizer and AddressSanitizer: a stress of rings, alarms and frames under both, the unit tests of lava-sys
# under the latter; and seeded faults that each must find.
#
#   tests/stages/sanitizers.sh     prints each result, last a line `N passed, N failed, N skipped`
#   LAVA_SOAK=1                    a hundred times the messages
#
# The sanitizers come with the stable toolchain, whose switch for them asks for RUSTC_BOOTSTRAP.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/lava-tests
host=$(rustc -vV | sed -n 's/^host: //p')
messages=1000000
[ "${LAVA_SOAK:-0}" = 1 ] && messages=100000000
passed=0 failed=0
export RUSTC_BOOTSTRAP=1
export TSAN_OPTIONS="halt_on_error=1 exitcode=66" ASAN_OPTIONS="exitcode=67 detect_leaks=1"
mkdir -p "$target"
# What Mesa's Vulkan driver keeps until the process ends is its own. It is told by its name, so it stays loaded.
printf 'leak:libvulkan\nleak:libLLVM\n' >"$target/leaks"
export LSAN_OPTIONS="suppressions=$target/leaks print_suppressions=0"
driver=$(ldconfig -p | sed -n 's/.*=> \(.*libvulkan_lvp\.so\)$/\1/p' | head -1)
[ -n "$driver" ] || for driver in /usr/lib/*/libvulkan_lvp.so; do :; done
[ -e "$driver" ] || driver=

result() {
    if [ "$2" = ok ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    echo "$1 ... $2"
}

# build NAME FLAGS: the stress program with these compiler flags; its path is put into $stress.
build() {
    stress=$target/$1/$host/release/lava-stress
    RUSTFLAGS=$2 cargo build --quiet --release --manifest-path tests/stress/Cargo.toml \
        --target "$host" --target-dir "$target/$1"
}

# clean NAME COMMAND...: must end well.
clean() {
    local name=$1 log=$target/$1.log
    shift
    if "$@" >"$log" 2>&1; then
        result "$name" ok
    else
        result "$name" "FAILED: exit status $?"
        grep -E '^(SUMMARY|WARNING|==[0-9]+==ERROR)|panicked at|test result|FAILED' "$log" | head -20
        tail -40 "$log" | cut -c1-200
    fi
}

# fault NAME REPORT COMMAND...: the sanitizer must report it.
fault() {
    local name=$1 report=$2 log=$target/$1.log
    shift 2
    if "$@" >"$log" 2>&1; then
        result "$name" "FAILED: the seeded fault was not found"
    elif grep -q "SUMMARY: $report" "$log"; then
        result "$name" ok
    else
        result "$name" "FAILED: it ended otherwise"
        tail -20 "$log" | cut -c1-200
    fi
}

if build tsan "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg lava_tsan"; then
    clean tsan-stress timeout 3600 "$stress" "$messages"
    fault tsan-finds-a-race "ThreadSanitizer: data race" timeout 100 "$stress" 1000000 late-write
else
    result tsan-build FAILED
fi

if build asan -Zsanitizer=address; then
    clean asan-stress timeout 3600 "$stress" "$messages"
    fault asan-finds-an-overrun "AddressSanitizer: heap-buffer-overflow" timeout 100 "$stress" 1000000 overrun
else
    result asan-build FAILED
fi
unit_tests() {
    local asan=(--quiet -p lava-sys --lib --target "$host" --target-dir "$target/asan")
    export RUSTFLAGS=-Zsanitizer=address
    timeout 1800 cargo test "${asan[@]}" --no-run || return
    # A small quarantine, because some tests look at how much memory the process has.
    export ASAN_OPTIONS="$ASAN_OPTIONS:quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    env "CARGO_TARGET_$(tr a-z- A-Z_ <<<"$host")_RUNNER=env LD_PRELOAD=$driver" \
        timeout 1800 cargo test "${asan[@]}"
}
clean asan-unit-tests unit_tests

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
