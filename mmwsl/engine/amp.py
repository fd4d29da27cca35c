"""Mixed precision on CPUs."""

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmwsl.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """Train in bfloat16 where that is safe, on a CPU that computes with it.

    mmengine's AmpOptimWrapper needs an accelerator. The exponents of
    bfloat16 are those of single precision, so no loss is scaled, and
    checkpoints are those of a training in single precision.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass under autocast."""
        with super().optim_context(model), torch.autocast(
            'cpu', torch.bfloat16
        ):
            yield


def has_bfloat16() -> bool:
    """Return whether this CPU has instructions for bfloat16."""
    info = Path('/proc/cpuinfo')
    # Such as avx512_bf16, amx_bf16 and, on ARM, bf16.
    return info.is_file() and 'bf16' in info.read_text(errors='replace')
