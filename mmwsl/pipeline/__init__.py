"""A method from its first stage to its last, in one command."""

from mmwsl.pipeline.running import run_pipeline, show_plan
from mmwsl.pipeline.stages import Pipeline, Stage, read_pipeline

__all__ = [
    'Pipeline',
    'Stage',
    'read_pipeline',
    'run_pipeline',
    'show_plan',
]
