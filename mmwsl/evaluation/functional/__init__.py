"""Scores computed from plain numpy arrays."""

from mmwsl.evaluation.functional.boxes import (
    THRESHOLDS,
    best_ious,
    box_ious,
    check_score_map,
    maps_to_boxes,
    resize_boxes,
    sweep_boxes,
)
from mmwsl.evaluation.functional.classification import (
    average_precision,
    multilabel_scores,
    topk_hits,
)
from mmwsl.evaluation.functional.counting import (
    class_count_errors,
    count_breakdown,
    count_correlation,
    count_errors,
    is_count,
    simple_predictors,
)
from mmwsl.evaluation.functional.instances import (
    ImageMatch,
    assign_maps,
    binned_means,
    instance_scores,
    instance_table,
    map_parts,
    map_quality,
    match_instances,
    mean_by_object,
)
from mmwsl.evaluation.functional.pixel_pr import (
    pixel_histograms,
    pixel_scores,
)
from mmwsl.evaluation.functional.seed_report import (
    best_index,
    body_recall,
    seed_summary,
    seed_table,
    sweep_rows,
    write_sweep,
)
from mmwsl.evaluation.functional.seeds import (
    label_map_histograms,
    power_to_threshold,
    seed_histograms,
    seed_scores,
)
from mmwsl.proposals.retrieval import (
    proposal_scores,
    retrieve_instances,
)
from mmwsl.utils.arrays import mask_intersections, mask_iou
from mmwsl.utils.tables import format_table, percent

__all__ = [
    'ImageMatch',
    'THRESHOLDS',
    'assign_maps',
    'average_precision',
    'best_index',
    'best_ious',
    'binned_means',
    'body_recall',
    'box_ious',
    'check_score_map',
    'class_count_errors',
    'count_breakdown',
    'count_correlation',
    'count_errors',
    'format_table',
    'instance_scores',
    'instance_table',
    'is_count',
    'label_map_histograms',
    'map_parts',
    'map_quality',
    'maps_to_boxes',
    'mask_intersections',
    'mask_iou',
    'match_instances',
    'mean_by_object',
    'multilabel_scores',
    'percent',
    'pixel_histograms',
    'pixel_scores',
    'power_to_threshold',
    'proposal_scores',
    'resize_boxes',
    'retrieve_instances',
    'seed_histograms',
    'seed_scores',
    'seed_summary',
    'seed_table',
    'simple_predictors',
    'sweep_boxes',
    'sweep_rows',
    'topk_hits',
    'write_sweep',
]
