"""Scores computed from plain numpy arrays."""

from mmwsl.evaluation.functional.boxes import maps_to_boxes
from mmwsl.evaluation.functional.counting import count_errors
from mmwsl.proposals.retrieval import retrieve_instances

__all__ = ['count_errors', 'maps_to_boxes', 'retrieve_instances']
