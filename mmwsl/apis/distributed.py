"""Distributed runs on machines without a GPU."""

import datetime
import os
from typing import Dict

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.device import get_device

# Where each launcher leaves what torch's ``env://`` start wants to read.
_LAUNCHER_VARIABLES: Dict[str, Dict[str, str]] = {
    'pytorch': {},
    'mpi': {
        'RANK': 'OMPI_COMM_WORLD_RANK',
        'LOCAL_RANK': 'OMPI_COMM_WORLD_LOCAL_RANK',
        'WORLD_SIZE': 'OMPI_COMM_WORLD_SIZE',
    },
    'slurm': {
        'RANK': 'SLURM_PROCID',
        'LOCAL_RANK': 'SLURM_LOCALID',
        'WORLD_SIZE': 'SLURM_NTASKS',
    },
}


def setup_cpu_distributed(cfg: Config) -> None:
    """Start gloo where mmengine's launcher would look for a GPU.

    mmengine 0.10 selects a CUDA device in every launcher and hands device
    ids to its model wrapper. On a machine without an accelerator this
    function starts the process group itself, which mmengine then leaves
    alone, and names a wrapper without devices. Elsewhere, and without a
    launcher, it does nothing.

    Args:
        cfg: Config with ``launcher``; ``model_wrapper_cfg`` is filled in.

    Raises:
        ValueError: If the launcher's environment variables are missing.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none' or get_device() != 'cpu':
        return
    for name, source in _LAUNCHER_VARIABLES[launcher].items():
        if source in os.environ:
            os.environ[name] = os.environ[source]
    os.environ.setdefault('MASTER_PORT', '29500')
    missing = [n for n in ('RANK', 'WORLD_SIZE') if n not in os.environ]
    if os.environ.get('SLURM_NNODES', '1') != '1':
        missing += [n for n in ('MASTER_ADDR',) if n not in os.environ]
    os.environ.setdefault('MASTER_ADDR', '127.0.0.1')
    if missing:
        raise ValueError(
            f"launcher '{launcher}' needs the environment variables "
            f'{missing}: start the run with tools/dist_train.sh or torchrun.'
        )
    if not dist.is_initialized():
        timeout = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout')
        dist.init_process_group(
            'gloo', timeout=datetime.timedelta(seconds=timeout or 1800)
        )
    if 'OMP_NUM_THREADS' not in os.environ:
        # Every process would otherwise use all cores.
        local = os.environ.get('LOCAL_WORLD_SIZE', os.environ['WORLD_SIZE'])
        torch.set_num_threads(max(1, torch.get_num_threads() // int(local)))
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'device_ids': None,
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **(cfg.get('model_wrapper_cfg') or {}),
    }
