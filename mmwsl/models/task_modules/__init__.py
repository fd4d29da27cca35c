"""Steps of a method that are neither a layer nor a loss."""

from mmwsl.models.task_modules.peak_growth import PeakGrowth
from mmwsl.models.task_modules.retrieval import ProposalRetrieval
from mmwsl.models.task_modules.target_sample_assigner import (
    TargetSampleAssigner,
)

__all__ = ['PeakGrowth', 'ProposalRetrieval', 'TargetSampleAssigner']
