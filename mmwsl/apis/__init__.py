"""What tools and programs call."""

from mmwsl.apis.command_line import (
    ToolParser,
    build_runner,
    keep_freed_memory,
    mend_last_checkpoint,
    read_config,
    runner_parser,
    setup_cpu_distributed,
    with_progress,
)
from mmwsl.apis.errors import friendly_errors
from mmwsl.apis.inference import (
    WSLInferencer,
    inference_model,
    init_model,
)
from mmwsl.utils.config import check_config, dataset_config, load_config

__all__ = [
    'ToolParser',
    'WSLInferencer',
    'build_runner',
    'check_config',
    'dataset_config',
    'friendly_errors',
    'inference_model',
    'init_model',
    'keep_freed_memory',
    'load_config',
    'mend_last_checkpoint',
    'read_config',
    'runner_parser',
    'setup_cpu_distributed',
    'with_progress',
]
