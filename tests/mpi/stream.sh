#!/bin/bash
# One rank of a job in which rank 0 sends to rank 1 what is written to a pipe, for tests that break the connection.
#
#   stream.sh LAVA PREFIX OUTPUT     sends PREFIX.in to OUTPUT. What each rank says is in PREFIX.0 and PREFIX.1, with its
#                                    exit status in the last line
lava=$1 prefix=$2 output=$3
rank=${OMPI_COMM_WORLD_RANK:-$PMI_RANK}
if [ "$rank" = 0 ]; then
    "$lava" send stream - --receivers 1 --timeout 60s <"$prefix.in" >"$prefix.0" 2>&1
else
    "$lava" recv stream -o "$output" --timeout 60s >"$prefix.1" 2>&1
fi
echo "exit status $?" >>"$prefix.$rank"
# A launcher that finds a rank dead may end the job: not before the other one has noticed by itself.
until [ -e "$prefix.over" ]; do sleep 0.1; done
