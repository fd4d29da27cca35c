"""Hooks and loops."""

from mmwsl.engine.hooks import *  # noqa: F403
