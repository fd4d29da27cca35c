"""Hooks and loops."""

from mmwsl.engine.hooks import *  # noqa: F403
from mmwsl.engine.loops import *  # noqa: F403
