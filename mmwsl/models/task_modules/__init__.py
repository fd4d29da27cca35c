"""Steps of a method that are neither a layer nor a loss."""

from mmwsl.models.task_modules.peak_growth import PeakGrowth
from mmwsl.models.task_modules.target_sample_assigner import (
    TargetSampleAssigner,
)
from mmwsl.proposals.retrieval import ProposalRetrieval

__all__ = ['PeakGrowth', 'ProposalRetrieval', 'TargetSampleAssigner']
