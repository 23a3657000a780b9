#!/bin/bash
# Fuzzes what a peer can send or write (tests/fuzz), with libFuzzer and AddressSanitizer; then shows that a seeded
# fault is found.
#
#   tests/stages/fuzz.sh           some seconds for each target, last a line `N passed, N failed, N skipped`
#   LAVA_SOAK=1                    an hour for each target
#
# Inputs that were interesting are kept below the target directory, and a failing one is printed. To run it again:
#   target/lava-tests/fuzz/<host>/release/<target> <file>
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/lava-tests/fuzz
host=$(rustc -vV | sed -n 's/^host: //p')
seconds=5
[ "${LAVA_SOAK:-0}" = 1 ] && seconds=3600
passed=0 failed=0 skipped=0

result() {
    if [ "$2" = ok ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    echo "$1 ... $2${3:+ ($3)}"
}

# The flags of cargo-fuzz. RUSTC_BOOTSTRAP lets the stable compiler take them.
build() {
    local flags="-Zsanitizer=address -Cpasses=sancov-module --cfg fuzzing" level
    for level in level=4 inline-8bit-counters pc-table trace-compares; do
        flags+=" -Cllvm-args=-sanitizer-coverage-$level"
    done
    RUSTC_BOOTSTRAP=1 RUSTFLAGS=$flags cargo build --quiet --release --manifest-path tests/fuzz/Cargo.toml \
        --target "$host" --target-dir "$target" "$@"
}

# run NAME SECONDS: fuzzes; the exit status is the fuzzer's. Its log is put into $log.
run() {
    local corpus=$target/corpus/$1 found=$target/found/$1
    log=$target/$1.log
    mkdir -p "$corpus" "$found"
    timeout $(($2 + 60)) "$target/$host/release/$1" -max_total_time="$2" -use_value_profile=1 -timeout=10 \
        -rss_limit_mb=2048 -max_len=2048 -artifact_prefix="$found/" "$corpus" >"$log" 2>&1
}

if ! command -v c++ >/dev/null && ! command -v clang++ >/dev/null; then
    echo "skipped: libFuzzer needs a C++ compiler: apt-get install g++"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
mkdir -p "$target"
if ! build; then
    result build FAILED
else
    for name in messages text payloads hostile_producer hostile_consumer; do
        if run "$name" "$seconds"; then
            result "$name" ok "$(sed -n 's/^Done \([0-9]*\) runs.*/\1 runs/p' "$log")"
        else
            result "$name" FAILED
            grep -E 'panicked at|SUMMARY|Test unit written|Base64' "$log" | head
            tail -5 "$log" | cut -c1-200
        fi
    done
    if build --bin payloads --features canary; then
        rm -rf "$target/corpus/payloads-canary"
        # Begins without the corpus of earlier runs.
        mv "$target/corpus/payloads" "$target/corpus/payloads-kept"
        if run payloads 60; then
            result canary "FAILED: the seeded fault was not found"
        elif grep -q 'an element outside' "$log"; then
            result canary ok "found"
        else
            result canary "FAILED: it ended otherwise"
            tail -5 "$log" | cut -c1-200
        fi
        rm -rf "$target/corpus/payloads" "$target/found/payloads"
        mv "$target/corpus/payloads-kept" "$target/corpus/payloads"
    else
        result canary-build FAILED
    fi
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
