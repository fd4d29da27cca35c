"""Hooks, loops and optimizer wrappers."""

from mmwsl.engine.amp import CPUAmpOptimWrapper  # noqa: F401
from mmwsl.engine.hooks import *  # noqa: F403
from mmwsl.engine.loops import *  # noqa: F403
