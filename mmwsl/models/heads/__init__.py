"""Heads: where the methods differ."""

from mmwsl.models.heads.cam_head import CAMHead

__all__ = ['CAMHead']
