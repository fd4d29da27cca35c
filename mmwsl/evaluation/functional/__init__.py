"""Scores computed from plain numpy arrays."""

from mmwsl.evaluation.functional.boxes import (
    THRESHOLDS,
    best_ious,
    box_ious,
    maps_to_boxes,
    resize_boxes,
    sweep_boxes,
)
from mmwsl.evaluation.functional.classification import (
    average_precision,
    multilabel_scores,
    topk_hits,
)
from mmwsl.evaluation.functional.counting import count_errors
from mmwsl.evaluation.functional.faithfulness import faithfulness_scores
from mmwsl.evaluation.functional.instances import (
    instance_scores,
    map_parts,
    map_quality,
    match_instances,
)
from mmwsl.evaluation.functional.pixel_pr import (
    pixel_histograms,
    pixel_scores,
)
from mmwsl.evaluation.functional.seeds import (
    label_map_histograms,
    seed_histograms,
    seed_scores,
)
from mmwsl.proposals.retrieval import proposal_scores, retrieve_instances

__all__ = [
    'THRESHOLDS',
    'average_precision',
    'best_ious',
    'box_ious',
    'count_errors',
    'faithfulness_scores',
    'instance_scores',
    'label_map_histograms',
    'map_parts',
    'map_quality',
    'maps_to_boxes',
    'match_instances',
    'multilabel_scores',
    'pixel_histograms',
    'pixel_scores',
    'proposal_scores',
    'resize_boxes',
    'retrieve_instances',
    'seed_histograms',
    'seed_scores',
    'sweep_boxes',
    'topk_hits',
]
