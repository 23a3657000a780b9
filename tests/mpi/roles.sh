#!/bin/bash
# One rank of a job in which rank 0 sends a file to a rank on its own host and to one on another: two ranks on each host.
#
#   roles.sh LAVA FILE OUTPUT-PREFIX      the received files are PREFIX.1 and PREFIX.2, the reports PREFIX.N.json
rank=${OMPI_COMM_WORLD_RANK:-$PMI_RANK}
case $rank in
    0) exec "$1" send pictures "$2" --receivers 2 ;;
    1 | 2) exec "$1" recv pictures -o "$3.$rank" --json >"$3.$rank.json" ;;
    *) exec "$1" info ;;
esac
