"""Hooks and loops."""

from mmwsl.engine.hooks import *  # noqa: F401,F403
