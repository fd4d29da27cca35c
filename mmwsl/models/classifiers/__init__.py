"""Models of stage 1."""

from mmwsl.models.classifiers.wsl_classifier import WSLClassifier

__all__ = ['WSLClassifier']
