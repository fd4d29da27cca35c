"""Metrics; their arithmetic is in :mod:`mmwsl.evaluation.functional`."""

from mmwsl.evaluation.metrics import *  # noqa: F403
