#!/bin/bash
# Two "hosts" on one machine, for tests: each has a network, host name, IPC, process and mount namespace, /dev/shm, boot id
# and machine id of its own; one veth pair joins them. Needs root, iproute2 and util-linux.
#
#   two_hosts.sh up ID                         makes the hosts ID-a and ID-b (ID: at most 8 letters and digits)
#   two_hosts.sh down ID                       ends every process on them and removes them
#   two_hosts.sh can                           succeeds if this machine permits it, else says why not
#   two_hosts.sh enter ID a|b COMMAND...       runs a command on one of them
#   two_hosts.sh mpirun ID MPI N COMMAND...    runs N ranks on each by MPI's launcher (openmpi, mpich);
#                                              $MPIRUN_FLAGS is added
#   two_hosts.sh bytes ID                      prints the bytes that have crossed from a to b, and from b to a
#   two_hosts.sh stop ID                       ends every process on them
#   two_hosts.sh link ID up|down               plugs the cable in, or pulls it
#   SAME_NAME=1 two_hosts.sh …                 both hosts have one name (host "same")
set -eu
self=$(realpath "$0")
network=10.77.0

directory() { echo "/run/lava-hosts-$1"; }

can() {
    [ "$(id -u)" = 0 ] || { echo "namespaces need root"; return 1; }
    command -v ip >/dev/null || { echo "ip is missing: apt-get install iproute2"; return 1; }
    unshare -n -u -i -m -p --fork --mount-proc true 2>/dev/null || { echo "unshare is not permitted here"; return 1; }
    local name=lvcan$$
    ip netns add $name 2>/dev/null || { echo "network namespaces are not permitted here"; return 1; }
    if ! ip -n $name link add lvcan0 type veth peer name lvcan1 2>/dev/null; then
        ip netns del $name
        echo "the kernel has no veth"
        return 1
    fi
    ip netns del $name
}

up() {
    local id=$1 host at
    mkdir -p "$(directory "$id")"
    for host in a b; do
        at=$([ $host = a ] && echo 1 || echo 2)
        ip netns add "$id-$host"
        ip -n "$id-$host" link set lo up
        mkdir -p "/etc/netns/$id-$host"
        printf '127.0.0.1 localhost\n%s.1 %s-a\n%s.2 %s-b\n' $network "$id" $network "$id" >"/etc/netns/$id-$host/hosts"
        cat /proc/sys/kernel/random/uuid >"$(directory "$id")/$host.boot_id"
        tr -d - <"$(directory "$id")/$host.boot_id" >"/etc/netns/$id-$host/machine-id"
    done
    ip -n "$id-a" link add wire type veth peer name wire netns "$id-b"
    ip -n "$id-a" addr add $network.1/24 dev wire
    ip -n "$id-b" addr add $network.2/24 dev wire
    ip -n "$id-a" link set wire up
    link "$id" up
}

# Plugging in takes a moment until the interfaces say so.
link() {
    local host
    ip -n "$1-b" link set wire "$2"
    [ "$2" = up ] || return 0
    for host in a b; do
        until [ "$(ip netns exec "$1-$host" cat /sys/class/net/wire/operstate)" = up ]; do sleep 0.01; done
    done
}

stop() {
    local host pids
    for host in a b; do
        pids=$(ip netns pids "$1-$host" 2>/dev/null) || true
        # shellcheck disable=SC2086
        [ -z "$pids" ] || kill -KILL $pids 2>/dev/null || true
    done
}

down() {
    local id=$1 host
    stop "$id"
    for host in a b; do
        ip netns del "$id-$host" 2>/dev/null || true
        rm -rf "/etc/netns/$id-$host"
    done
    rm -rf "$(directory "$id")"
}

# `ip netns exec` gives a private mount namespace with the files of /etc/netns; UCX tells hosts apart by boot id, IPC and
# process namespace, Open MPI by name and address, lava by boot id, after it has tried the sockets in the runtime
# directory: so that is each host's own, as are the launchers' files.
enter() {
    local id=$1 host=$2 name=$1-$2
    shift 2
    [ "${SAME_NAME:-0}" = 0 ] || name=same
    exec ip netns exec "$id-$host" unshare -u -i -m -p --fork --kill-child --mount-proc sh -c '
        hostname "$0"
        mount -t tmpfs -o size=4g shm /dev/shm
        mount --bind "$1/$2.boot_id" /proc/sys/kernel/random/boot_id
        mkdir -p "$1/own"
        mount -t tmpfs -o size=64m own "$1/own"
        export TMPDIR="$1/own" LAVA_RUNTIME_DIR="$1/own/lava"
        shift 2
        exec "$@"' "$name" "$(directory "$id")" "$host" "$@"
}

# What MPI's launcher calls in place of ssh: agent ID [-option...] ID-HOST WORD...
agent() {
    local id=$1 host
    shift
    while [ "${1#-}" != "$1" ]; do shift; done
    host=${1##*-}
    shift
    enter "$id" "$host" sh -c "$*"
}

launch() {
    local id=$1 kind=$2 each=$3
    shift 3
    case $kind in
        openmpi)
            # shellcheck disable=SC2086
            enter "$id" a mpirun.openmpi --allow-run-as-root --host "$id-a:$each,$id-b:$each" -np $((2 * each)) \
                --bind-to none --oversubscribe --mca plm_rsh_agent "$self agent $id" --mca pml ob1 \
                --mca btl self,vader,tcp --mca btl_tcp_if_include $network.0/24 \
                --mca oob_tcp_if_include $network.0/24 ${MPIRUN_FLAGS:-} "$@"
            ;;
        mpich)
            printf '#!/bin/sh\nexec "%s" agent %s "$@"\n' "$self" "$id" >"$(directory "$id")/agent"
            chmod +x "$(directory "$id")/agent"
            # shellcheck disable=SC2086
            enter "$id" a mpirun.mpich -launcher ssh -launcher-exec "$(directory "$id")/agent" -iface wire \
                -hosts "$id-a:$each,$id-b:$each" -n $((2 * each)) ${MPIRUN_FLAGS:-} "$@"
            ;;
        *) echo "two_hosts.sh: MPI is openmpi or mpich, not $kind" >&2; exit 2 ;;
    esac
}

bytes() {
    local host
    for host in a b; do
        ip netns exec "$1-$host" cat /sys/class/net/wire/statistics/tx_bytes
    done
}

case "${1:-}" in
    up | down | stop | can | enter | agent | bytes | link) "$@" ;;
    mpirun) shift; launch "$@" ;;
    *) sed -n '2,15s/^# \{0,1\}//p' "$self"; exit 2 ;;
esac
