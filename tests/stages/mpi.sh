#!/bin/bash
# Other hosts: builds the plug-in with Open MPI and with MPICH, and tries jobs of several ranks on this host and on two
# "hosts" of their own (tests/mpi/two_hosts.sh), with the failures that MPI's users meet.
#
#   tests/stages/mpi.sh                    prints each result, last a line `N passed, N failed, N skipped`
#   tests/stages/mpi.sh openmpi|mpich      with one MPI only
#
# Every job has a limit and is killed with all its processes when that is over.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
library=$target/lava-tests/cdylib/debug
work=$target/lava-tests/mpi
plugins=$work/plugins
hosts=tests/mpi/two_hosts.sh
host_id=lv$$
passed=0 failed=0 skipped=0
mkdir -p "$plugins" "$work/logs"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
# UCX, which MPICH uses, writes its warnings to standard output otherwise, among what programs print there.
export UCX_LOG_FILE=stderr
export LAVA_PLUGIN_DIR=$plugins LD_LIBRARY_PATH=$library${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
lava=$target/debug/lava
run_directory=$(mktemp -d)
export LAVA_RUNTIME_DIR=$run_directory/runtime

clean_up() {
    local host
    # Those of the failures have names of their own.
    for host in $(ip netns list 2>/dev/null | awk '{ print $1 }' | grep "^$host_id.*-a\$"); do "$hosts" down "${host%-a}"; done
    rm -rf "$run_directory"
}
trap clean_up EXIT
# shellcheck source=tests/mpi/failures.sh
. tests/mpi/failures.sh

result() {
    if [ "$2" = ok ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    echo "$1 ... $2"
}

skip() {
    skipped=$((skipped + 1))
    echo "$1 ... skipped: $2"
}

# check NAME COMMAND...: must end well.
check() {
    local name=$1 log=$work/logs/$1.log
    shift
    if "$@" >"$log" 2>&1; then
        result "$name" ok
    else
        result "$name" "FAILED: exit status $?; the end of its log:"
        tail -25 "$log" | cut -c1-300
    fi
}

# job MPI RANKS COMMAND...: on this host.
job() {
    local kind=$1 ranks=$2 flags=()
    shift 2
    [ "$kind" = openmpi ] && flags=(--oversubscribe --bind-to none)
    timeout -s KILL 60 "mpirun.$kind" -n "$ranks" "${flags[@]}" "$@"
}

# apart MPI RANKS_EACH COMMAND...: on the two hosts.
apart() {
    local kind=$1
    shift
    timeout -s KILL 60 "$hosts" mpirun "$host_id" "$kind" "$@"
}

# tells WORD... -- COMMAND...: the command's output has all of the words, whatever its exit status.
tells() {
    local words=() word output
    while [ "$1" != -- ]; do words+=("$1"); shift; done
    shift
    output=$("$@" 2>&1)
    echo "$output"
    for word in "${words[@]}"; do
        grep -F -- "$word" <<<"$output" >/dev/null || { echo "it does not tell: $word"; return 1; }
    done
}

# The scenarios of tests/conformance with their parts as ranks that take each other for remote. Most of them wait for others:
# more at once than processors.
conformance() {
    local log=$work/logs/conformance.log counts
    CARGO_TARGET_DIR=$target cargo test -p lava-tests --test conformance -- mpi/ --test-threads 3 >"$log" 2>&1
    counts=$(sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed; \([0-9]*\) ignored.*/\1 \2 \3/p' "$log")
    [ -n "$counts" ] || { result conformance "FAILED: it did not run; the end of its log:"; tail -20 "$log"; return; }
    # shellcheck disable=SC2086
    set -- $counts
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
    echo "conformance over MPI ... $1 passed, $2 failed, $3 skipped"
    [ "$2" -eq 0 ] || sed -n '/^failures:/,$p' "$log" | cut -c1-500 | head -80
}

other_than() { if [ "$1" = openmpi ]; then echo mpich; else echo openmpi; fi; }
name_of() { if [ "$1" = openmpi ]; then echo "Open MPI"; else echo "MPICH"; fi; }

# Feature `mpi` of the crates does the same beside the program.
build_plugin() {
    MPICC=mpicc.$1 cargo rustc --locked --manifest-path lava-sys/mpi/Cargo.toml --lib --crate-type cdylib \
        --target-dir "$target/lava-tests/mpi-$1" || return
    ln -sf "$target/lava-tests/mpi-$1/debug/liblava_mpi.so" "$plugins/liblava_mpi_$1.so"
}

# What users copy, and the program of the floods. None of them knows MPI: one serves both.
build_programs() {
    gcc -std=c99 -Wall -Wextra -pedantic -Werror -Iinclude lava/examples/c/mpi_ping_pong.c -L"$library" -llava \
        -o "$work/ping_pong_c" || return
    gcc -std=c99 -Wall -Wextra -pedantic -Werror -Iinclude tests/mpi/flood.c -L"$library" -llava -o "$work/flood" || return
    g++ -std=c++17 -Wall -Wextra -Werror -Iinclude lava/examples/cpp/mpi_ping_pong.cpp -L"$library" -llava \
        -o "$work/ping_pong_cpp" || return
    cargo build -p lava --example mpi_ping_pong && ln -sf "$target/debug/examples/mpi_ping_pong" "$work/ping_pong_rust"
}

# The plug-in and C program of one MPI.
build() {
    check "$1-plugin" build_plugin "$1"
    check "$1-program" "mpicc.$1" -std=c99 -Wall -Wextra -pedantic -Werror -Iinclude tests/mpi/attach.c \
        -L"$library" -llava -o "$work/attach_$1"
}

information() {
    local text
    text=$(job "$1" "$2" "$lava" info --json) || return
    jq -e --argjson ranks "$2" '.mpi.library.job.ranks == $ranks and .mpi.library.job.hosts == 1
        and .mpi.library.job.thread_level == "MPI_THREAD_MULTIPLE" and (.mpi.ranks | length) == $ranks' <<<"$text"
}

without_library() {
    local file
    file=$(ldd "$plugins/liblava_mpi_$1.so" | awk '/libmpi(ch)?\.so/ { print $3; exit }')
    # In a mount namespace of its own the library's directory is empty.
    file=$(readlink -f "$file")
    unshare -m sh -c 'mount --bind /dev/null "$1" && shift && exec "$@"' sh "$file" env LAVA_MPI="$1" "$lava" info
}

# Two ranks of one host, by shared memory and by MPI; each of the examples with itself.
ping_pong() {
    local language
    for language in c cpp rust; do
        tells "200 round trips of 65536 bytes" "both map it" -- job "$1" 2 "$work/ping_pong_$language" 200 &&
            LAVA_SCOPE=remote tells "200 round trips of 65536 bytes" "sent by MPI" -- \
                job "$1" 2 "$work/ping_pong_$language" 200 || return
    done
}

# The tools as a user starts them.
demo() {
    local text
    text=$(LAVA_SCOPE=${2:-} job "$1" 3 "$lava" --json demo --size 32MiB) || return
    jq -e --arg transport "$3" '.verified and (.consumers | length) == 2
        and all(.consumers[]; .transport == $transport and .verified)' <<<"$text"
}

perf() {
    local text
    text=$(job "$1" 2 "$lava" --json perf --transport mpi --sizes 64,1MiB --round-time 50ms) || return
    echo "$text"
    jq -e '.connection.transport == "mpi" and (.rows | length) == 2
        and all(.rows[]; .latency.p50 > 0 and .bytes_per_second > 0)' <<<"$text" || return
    tells "transport mpi" "1 MiB" "B/s" -- job "$1" 2 "$lava" perf --transport mpi --sizes 1MiB --round-time 50ms
}

# What one MPI does on this host.
alone() {
    local kind=$1 other
    other=$(other_than "$kind")
    check "$kind-info" information "$kind" 2
    check "$kind-more-ranks-than-cores" information "$kind" 6
    for mode in "multiple frames" "funneled frames" none finalized; do
        # shellcheck disable=SC2086
        check "$kind-attach-${mode%% *}" job "$kind" 3 "$work/attach_$kind" $mode
    done
    check "$kind-ping-pong" ping_pong "$kind"
    check "$kind-demo" demo "$kind" "" shm
    check "$kind-demo-remote" demo "$kind" remote mpi
    check "$kind-perf" perf "$kind"
    LAVA_SCOPE=remote check "$kind-flood" job "$kind" 3 "$work/flood"
    check "$kind-asked-for-the-other" tells "every rank would be alone" "LAVA_MPI=$kind" -- \
        env LAVA_MPI="$other" bash -c "$(declare -f job); job $kind 2 $lava info"
    check "$kind-missing-plugin" tells "no MPI plug-in" "LAVA_PLUGIN_DIR" -- \
        env LAVA_MPI="$kind" LAVA_PLUGIN_DIR=/nowhere "$run_directory/lava" info
    check "$kind-off" tells "not usable" "MPI is off" -- env LAVA_MPI=off bash -c "$(declare -f job); job $kind 2 $lava info"
    if [ -e "$plugins/liblava_mpi_$other.so" ]; then
        # A program that is linked with one MPI under the launcher of the other.
        check "$kind-launches-the-other" tells "this process has loaded $(name_of "$other")" "mpirun of $(name_of "$other")" -- \
            job "$kind" 2 "$work/attach_$other" none
    fi
    if unshare -m true 2>/dev/null; then
        check "$kind-missing-library" tells "not usable" "lib" -- without_library "$kind"
    else
        skip "$kind-missing-library" "mount namespaces are not permitted here"
    fi
}

two_hosts_information() {
    local text
    text=$(apart "$1" 1 "$lava" info --json) || return
    jq -e '.mpi.library.job.ranks == 2 and .mpi.library.job.hosts == 2' <<<"$text"
}

two_hosts_demo() {
    local text
    text=$(apart "$1" 2 "$lava" --json demo --size 32MiB) || return
    jq -e '.verified and ([.consumers[].transport] | sort) == ["mpi", "mpi", "shm"]' <<<"$text"
    tells "transport mpi" "1 MiB" -- apart "$1" 1 "$lava" perf --sizes 1MiB --round-time 50ms
}

# A producer with a consumer on its host and one on the other: each by its own transport, and the file crosses once.
both_ways() {
    local at=$run_directory/both before crossed size
    head -c 20000000 /dev/urandom >"$at.file"
    size=$(stat -c %s "$at.file")
    before=$("$hosts" bytes "$host_id" | head -1)
    apart "$1" 2 "$PWD/tests/mpi/roles.sh" "$lava" "$at.file" "$at" || return
    crossed=$(($("$hosts" bytes "$host_id" | head -1) - before))
    cmp "$at.file" "$at.1" && cmp "$at.file" "$at.2" || return
    echo "$crossed bytes crossed for a file of $size"
    [ "$crossed" -gt "$size" ] && [ "$crossed" -lt $((size * 3 / 2)) ] || return
    jq -e '.connection.transport == "shm"' "$at.1.json" && jq -e '.connection.transport == "mpi"' "$at.2.json"
}

# What it does on two hosts.
across() {
    check "$1-two-hosts" two_hosts_information "$1"
    check "$1-two-hosts-attach" apart "$1" 1 "$work/attach_$1" multiple frames
    check "$1-two-hosts-file" both_ways "$1"
    check "$1-two-hosts-demo" two_hosts_demo "$1"
    # Equal names do not make one host.
    SAME_NAME=1 check "$1-two-hosts-of-one-name" two_hosts_information "$1"
}

nothing_left() {
    local left
    left=$(ip netns list 2>/dev/null | grep -c "^$host_id")
    [ "$left" -eq 0 ] || { echo "$left network namespaces are left"; return 1; }
    left=$(ps -eo pid,args | grep -E "[o]rted.*$host_id|[h]ydra_pmi_proxy.*$host_id")
    [ -z "$left" ] || { echo "processes are left: $left"; return 1; }
}

wanted=()
for kind in ${1:-openmpi mpich}; do
    if ! command -v "mpicc.$kind" >/dev/null || ! command -v "mpirun.$kind" >/dev/null; then
        skip "$kind" "it is not installed: see tests/run"
    else
        wanted+=("$kind")
    fi
done
if [ ${#wanted[@]} -gt 0 ]; then
    check format cargo fmt --manifest-path lava-sys/mpi/Cargo.toml --check
    check lava bash -c 'cargo build -p lava && cargo run -p lava-tests --bin build-library'
    check programs build_programs
    for kind in "${wanted[@]}"; do build "$kind"; done
    # Where no plug-in lies beside it.
    cp "$lava" "$run_directory/lava"
    for kind in "${wanted[@]}"; do alone "$kind"; done
    reason=$("$hosts" can) && begin_failures "${wanted[@]}"
    conformance
    if [ -z "$reason" ]; then
        end_failures "${wanted[@]}"
        "$hosts" up "$host_id"
        for kind in "${wanted[@]}"; do across "$kind"; done
        "$hosts" down "$host_id"
        check nothing-left nothing_left
    else
        skip two-hosts "$reason"
    fi
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
