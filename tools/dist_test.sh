#!/usr/bin/env bash
# Test with several processes on this machine (or, with NNODES, on several):
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
# Without GPUs the processes run on the CPU and talk through gloo.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh"

if (($# < 3)); then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [arguments of tools/test.py]" >&2
    exit 2
fi
run_dist "$3" test.py "$1" "$2" "${@:4}"
