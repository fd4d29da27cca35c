"""Scores computed from plain numpy arrays."""

from mmwsl.evaluation.functional.classification import (
    average_precision,
    multilabel_scores,
    topk_hits,
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
from mmwsl.evaluation.functional.tables import format_table, percent

__all__ = [
    'average_precision',
    'best_index',
    'body_recall',
    'format_table',
    'label_map_histograms',
    'multilabel_scores',
    'percent',
    'power_to_threshold',
    'seed_histograms',
    'seed_scores',
    'seed_summary',
    'seed_table',
    'sweep_rows',
    'topk_hits',
    'write_sweep',
]
