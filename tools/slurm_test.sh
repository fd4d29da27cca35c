#!/usr/bin/env bash
# Test on a Slurm cluster:
#   [GPUS=8] [GPUS_PER_NODE=8] [CPUS_PER_TASK=5] [SRUN_ARGS=...] \
#       tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT \
#       [arguments of test.py]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh"

if (($# < 4)); then
    echo "usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT" \
        "[arguments of test.py]" >&2
    exit 2
fi
run_slurm "$1" "$2" test.py "$3" "$4" "${@:5}"
