"""Pictures."""

from mmwsl.visualization.counts import CountScatter
from mmwsl.visualization.visualizer import WSLVisualizer

__all__ = ['CountScatter', 'WSLVisualizer']
