#!/usr/bin/env bash
# Train with several processes on this machine (or, with NNODES, on several):
#   tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# Without GPUs the processes run on the CPU and talk through gloo.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh"

if (($# < 2)); then
    echo "usage: $0 CONFIG GPUS [arguments of tools/train.py]" >&2
    exit 2
fi
run_dist "$2" train.py "$1" "${@:3}"
