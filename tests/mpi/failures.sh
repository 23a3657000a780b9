# Sourced by tests/stages/mpi.sh: peers that die, stop, leave or do not read, and a cable that is pulled, on two hosts. The
# launcher is told to keep the job. Each has hosts of its own, so that all can run at once: most of the time they wait for
# the five seconds after which a silent rank is lost.

# until_done SECONDS COMMAND...: tries again and again.
until_done() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || { echo "not in time: $*"; return 1; }
        sleep 0.1
    done
}

have_crossed() { [ "$("$hosts" bytes "$1" | head -1)" -gt "$2" ]; }
has_ended() { grep '^exit status' "$1" >/dev/null 2>&1; }
is_there() { [ -e "$1" ]; }

# signal_receiver ID SIGNAL: to the process of host b that is lava.
signal_receiver() {
    local process
    for process in $(ip netns pids "$1-b"); do
        [ "$(readlink "/proc/$process/exe")" != "$lava" ] || { kill "-$2" "$process" && return; }
    done
    echo "no receiver on $1-b"
    return 1
}

# feed PIPE: bytes without an end, but not as fast as the machine can: other tests run beside it.
feed() {
    exec 2>/dev/null
    while head -c 500000 /dev/zero; do sleep 0.02; done >"$1"
}

# ended_with FILE STATUS WORDS: what a rank said last.
ended_with() {
    grep "^exit status $2\$" "$1" >/dev/null && grep -F -- "$3" "$1" >/dev/null && return
    echo "$1 has neither exit status $2 nor the words: $3"
    return 1
}

# failure MPI kill|stop|pause|cable|leave|block
failure() {
    local kind=$1 how=$2 id=$host_id${1:0:1}${2:0:2} at=$run_directory/$1-$2 output=/dev/null job feeder status=0
    [ "$how" = leave ] && output=/dev/full
    [ "$how" = block ] && output=$at.out && mkfifo "$output"
    mkfifo "$at.in"
    "$hosts" up "$id" || return
    MPIRUN_FLAGS=$([ "$kind" = openmpi ] && echo --enable-recovery || echo -disable-auto-cleanup) \
        timeout -s KILL 180 "$hosts" mpirun "$id" "$kind" 1 "$PWD/tests/mpi/stream.sh" "$lava" "$at" "$output" &
    job=$!
    "break_by_$how" "$id" "$at" || status=$?
    touch "$at.over"
    tail -n 3 "$at".0 "$at".1
    kill "$feeder" 2>/dev/null
    wait "$feeder" 2>/dev/null
    "$hosts" down "$id"
    wait "$job"
    return $status
}

# Frames without an end come.
begin_stream() {
    feed "$2.in" &
    feeder=$!
    until_done 60 have_crossed "$1" 5000000
}

# What `failure` ends with where the MPI library itself is stuck.
STUCK=77

# is_stuck FILE: Open MPI 4.1's TCP met a connection that was reset while it wrote. It may then stay for ever in one call
# of MPI_Testsome, without a system call: doc/guide_mpi.md, "Known limits".
is_stuck() { grep -F "mca_btl_tcp_frag_send: writev failed" "$1" >/dev/null; }

break_by_kill() {
    begin_stream "$@" && signal_receiver "$1" KILL || return
    until_done 60 has_ended "$2.0" || { is_stuck "$2.0" && return $STUCK; } || return
    ended_with "$2.0" 1 "every receiver went away" && ended_with "$2.1" 137 ""
}

# The receiver finds the sender gone when it goes on.
break_by_stop() {
    begin_stream "$@" && signal_receiver "$1" STOP && until_done 60 has_ended "$2.0" || return
    ended_with "$2.0" 1 "every receiver went away" || return
    signal_receiver "$1" CONT && until_done 60 has_ended "$2.1" && ended_with "$2.1" 1 "the peer died or went away"
}

# A pause is no loss: all that was sent arrives.
break_by_pause() {
    head -c 60000000 /dev/urandom >"$2.data"
    { head -c 10000000 "$2.data"; until_done 60 is_there "$2.paused"; tail -c +10000001 "$2.data"; } >"$2.in" &
    feeder=$!
    until_done 60 have_crossed "$1" 5000000 || return
    signal_receiver "$1" STOP && touch "$2.paused" && sleep 1 && signal_receiver "$1" CONT || return
    until_done 60 has_ended "$2.0" && until_done 60 has_ended "$2.1" || return
    ended_with "$2.0" 0 "sent 57.22 MiB" && ended_with "$2.1" 0 "verified"
}

break_by_cable() {
    begin_stream "$@" && "$hosts" link "$1" down || return
    until_done 60 has_ended "$2.0" && until_done 60 has_ended "$2.1" || return
    ended_with "$2.0" 1 "every receiver went away" && ended_with "$2.1" 1 "the peer died or went away"
}

# A rank that ends early: here it cannot write.
break_by_leave() {
    feed "$2.in" &
    feeder=$!
    until_done 60 has_ended "$2.0" && until_done 60 has_ended "$2.1" || return
    ended_with "$2.0" 1 "every receiver went away" && ended_with "$2.1" 1 "No space left"
}

# A receiver that does not read holds the sender back, however long, and gets the rest when it goes on.
break_by_block() {
    local before
    head -c 60000000 /dev/urandom >"$2.data"
    cat "$2.data" >"$2.in" &
    feeder=$!
    exec 9<>"$2.out"
    until_done 60 have_crossed "$1" 300000 || return
    # Longer than a silent rank may be.
    sleep 6
    before=$("$hosts" bytes "$1" | head -1)
    echo "$before bytes have crossed to a receiver that does not read"
    # An end for reading alone, which sees the receiver's end.
    exec 8<"$2.out" 9>&-
    timeout 120 cat <&8 >"$2.copy" &
    exec 8<&-
    until_done 60 has_ended "$2.0" && until_done 60 has_ended "$2.1" && wait $! || return
    [ "$before" -lt 20000000 ] && cmp "$2.data" "$2.copy" && ended_with "$2.0" 0 "sent 57.22 MiB" && ended_with "$2.1" 0 "verified"
}

failure_kinds="kill stop pause cable leave block"

# begin_failures MPI...: all of them at once, beside other tests.
begin_failures() {
    local kind how log
    for kind in "$@"; do
        for how in $failure_kinds; do
            log=$work/logs/$kind-peer-$how.log
            rm -f "$log.status"
            (failure "$kind" "$how" >"$log" 2>&1; echo $? >"$log.status") &
        done
    done
}

# end_failures MPI...: what became of them.
end_failures() {
    local kind how log
    wait
    for kind in "$@"; do
        for how in $failure_kinds; do
            log=$work/logs/$kind-peer-$how.log
            case $(cat "$log.status") in
                0) result "$kind-peer-$how" ok ;;
                "$STUCK") skip "$kind-peer-$how" "the MPI library does not come back from a call: doc/guide_mpi.md" ;;
                *)
                    result "$kind-peer-$how" "FAILED: the end of its log:"
                    tail -25 "$log" | cut -c1-300
                    ;;
            esac
        done
    done
}
