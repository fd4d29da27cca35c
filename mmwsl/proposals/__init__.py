"""Object proposals: files, a generator, their quality, instances of them."""

from mmwsl.proposals.files import (
    PROPOSAL_SUFFIXES,
    WRITTEN_SUFFIXES,
    ProposalList,
    images_of,
    read_parameters,
    read_proposals,
    write_proposal_list,
    write_proposals,
)
from mmwsl.proposals.generator import ProposalGenerator
from mmwsl.proposals.quality import (
    best_overlaps,
    proposal_scores,
    quality_table,
)

__all__ = [
    'PROPOSAL_SUFFIXES',
    'ProposalGenerator',
    'ProposalList',
    'WRITTEN_SUFFIXES',
    'best_overlaps',
    'images_of',
    'proposal_scores',
    'quality_table',
    'read_parameters',
    'read_proposals',
    'write_proposal_list',
    'write_proposals',
]
