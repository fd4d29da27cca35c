"""What tools and programs call."""

from mmwsl.apis.command_line import (
    add_cfg_options,
    build_runner,
    parse_runner_args,
    read_config,
    runner_parser,
)
from mmwsl.apis.config import check_config, dataset_config, load_config
from mmwsl.apis.distributed import setup_cpu_distributed
from mmwsl.apis.errors import friendly_errors
from mmwsl.apis.inference import inference_model, init_model, load_weights
from mmwsl.apis.memory import keep_freed_memory
from mmwsl.apis.resuming import mend_last_checkpoint

__all__ = [
    'add_cfg_options',
    'build_runner',
    'check_config',
    'dataset_config',
    'friendly_errors',
    'inference_model',
    'init_model',
    'keep_freed_memory',
    'load_config',
    'load_weights',
    'mend_last_checkpoint',
    'parse_runner_args',
    'read_config',
    'runner_parser',
    'setup_cpu_distributed',
]
