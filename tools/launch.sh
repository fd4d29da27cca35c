# Starts a script of this folder in several processes. For the dist_*.sh and
# slurm_*.sh beside it, which source this file.

here=$(dirname "${BASH_SOURCE[0]}")
export PYTHONPATH=$here/..${PYTHONPATH:+:$PYTHONPATH}

# run_dist PROCESSES SCRIPT [ARGUMENTS]: on this machine, or with NNODES on
# several. Without GPUs the processes run on the CPU and talk through gloo.
run_dist() {
    local processes=$1 script=$2
    shift 2
    # In place of this shell, so that a signal to it reaches the processes.
    exec ${PYTHON:-python} -m torch.distributed.run \
        --nnodes="${NNODES:-1}" \
        --node_rank="${NODE_RANK:-0}" \
        --master_addr="${MASTER_ADDR:-127.0.0.1}" \
        --master_port="${PORT:-29500}" \
        --nproc_per_node="$processes" \
        "$here/$script" "$@" --launcher pytorch
}

# run_slurm PARTITION JOB_NAME SCRIPT [ARGUMENTS]: on a cluster.
run_slurm() {
    local partition=$1 job_name=$2 script=$3 gpus=${GPUS:-8}
    local gpus_per_node=${GPUS_PER_NODE:-8}
    shift 3
    ((gpus_per_node <= gpus)) || gpus_per_node=$gpus
    # SRUN_ARGS is split into words on purpose.
    # shellcheck disable=SC2086
    exec srun -p "$partition" \
        --job-name="$job_name" \
        --gres="gpu:$gpus_per_node" \
        --ntasks="$gpus" \
        --ntasks-per-node="$gpus_per_node" \
        --cpus-per-task="${CPUS_PER_TASK:-5}" \
        --kill-on-bad-exit=1 \
        ${SRUN_ARGS:-} \
        ${PYTHON:-python} -u "$here/$script" "$@" --launcher slurm
}
