#!/bin/bash
# lava over MPI beside MPI itself (compare.c): both MPIs, through their shared memory, through TCP on this host, and between
# two hosts on this machine (tests/mpi/two_hosts.sh, as root). Prints one table of ratios; the lines it comes from are in
# <target>/lava-mpi-compare/*.log.
#
#   benches/mpi/compare.sh [--rounds N] [--only latency|stream|stall|memory]
#
# lava polls as long as MPI's own waiting calls do (LAVA_SPIN_NS; set it to see another value), the ranks are bound to no
# processor, and have priority over other sessions where the kernel lets them. On two processors the ranks leave nothing
# for anybody else: what else runs there is seen in the medians, and less in the best rounds.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$target/lava-mpi-compare
hosts=$PWD/tests/mpi/two_hosts.sh
id=lc$$
mkdir -p "$work/plugins"
run=$(mktemp -d)
trap '"$hosts" down "$id" 2>/dev/null; rm -rf "$run"' EXIT

cargo rustc -q --release -p lava-sys --crate-type cdylib || exit
ln -sf "$target/release/liblava_sys.so" "$work/liblava.so.0"
ln -sf liblava.so.0 "$work/liblava.so"
kinds=()
for kind in openmpi mpich; do
    command -v "mpicc.$kind" >/dev/null || { echo "$kind: skipped, mpicc.$kind is not installed"; continue; }
    MPICC=mpicc.$kind cargo rustc -q --release --locked --manifest-path lava-sys/mpi/Cargo.toml --lib --crate-type cdylib \
        --target-dir "$work/$kind" || exit
    ln -sf "$work/$kind/release/liblava_mpi.so" "$work/plugins/liblava_mpi_$kind.so"
    "mpicc.$kind" -std=c99 -O2 -Wall -Wextra -Werror -Iinclude benches/mpi/compare.c -L"$work" -llava \
        -o "$work/compare_$kind" || exit
    kinds+=("$kind")
done

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export LAVA_PLUGIN_DIR=$work/plugins LD_LIBRARY_PATH=$work LAVA_SCOPE=remote LAVA_RUNTIME_DIR=$run/runtime
export LAVA_SPIN_NS=${LAVA_SPIN_NS:-1000000000}
echo -19 2>/dev/null >/proc/self/autogroup

# network KIND NAME COMMAND...: measures, and keeps the lines.
network() {
    local log=$work/$1-$2.log
    kept+=("$1 $2")
    "${@:3}" >"$log" 2>&1 || echo "$1, $2: failed, see $log"
}

kept=()
openmpi=(timeout -s KILL 240 mpirun.openmpi -n 2 --bind-to none --oversubscribe --mca pml ob1)
mpich=(timeout -s KILL 240 mpirun.mpich -n 2)
apart=$("$hosts" can) && "$hosts" up "$id"
for kind in "${kinds[@]}"; do
    program=("$work/compare_$kind" "$@")
    if [ "$kind" = openmpi ]; then
        network openmpi shm "${openmpi[@]}" --mca btl self,vader "${program[@]}"
        network openmpi tcp "${openmpi[@]}" --mca btl self,tcp --mca btl_tcp_if_include lo "${program[@]}"
    else
        network mpich shm "${mpich[@]}" "${program[@]}"
        network mpich tcp env UCX_TLS=tcp,self UCX_NET_DEVICES=lo "${mpich[@]}" "${program[@]}"
    fi
    if [ -z "$apart" ]; then
        network "$kind" two-hosts timeout -s KILL 240 "$hosts" mpirun "$id" "$kind" 1 "${program[@]}"
    else
        echo "$kind, two hosts: skipped: $apart"
    fi
done

date -u "+%Y-%m-%d %H:%M UTC, load $(cut -d' ' -f1-3 /proc/loadavg)"
grep -m1 "model name" /proc/cpuinfo | sed 's/.*: //' | sed "s/^/$(nproc) processors, /"
for one in "${kept[@]}"; do
    read -r kind name <<<"$one"
    echo
    echo "$kind, $name"
    grep -E "^(median|best|busy|stopped)" "$work/$kind-$name.log" | sed 's/^/  /'
done
