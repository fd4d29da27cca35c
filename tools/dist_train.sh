#!/usr/bin/env bash
# Train with several processes on this machine (or, with NNODES, on several):
#   tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
# Without GPUs the processes run on the CPU and talk through gloo.
set -euo pipefail

if (($# < 2)); then
    echo "usage: $0 CONFIG GPUS [arguments of tools/train.py]" >&2
    exit 2
fi
config=$1
gpus=$2
shift 2

here=$(dirname "${BASH_SOURCE[0]}")
PYTHONPATH=$here/..${PYTHONPATH:+:$PYTHONPATH} \
    ${PYTHON:-python} -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$gpus" \
    "$here/train.py" "$config" --launcher pytorch "$@"
