"""Pictures."""

from mmwsl.visualization.batch_images import batch_images, original_image
from mmwsl.visualization.boxes import draw_boxes
from mmwsl.visualization.caption import caption, draw_text
from mmwsl.visualization.heatmap import heatmap_overlay
from mmwsl.visualization.label_map import class_colors, draw_label_map
from mmwsl.visualization.tiles import (
    Tile,
    contact_sheet,
    display_size,
    letterbox,
    panel,
    tile_images,
)
from mmwsl.visualization.visualizer import WSLVisualizer
from mmwsl.visualization.writing import safe_path, write_image

__all__ = [
    'Tile',
    'WSLVisualizer',
    'batch_images',
    'caption',
    'class_colors',
    'contact_sheet',
    'display_size',
    'draw_boxes',
    'draw_label_map',
    'draw_text',
    'heatmap_overlay',
    'letterbox',
    'original_image',
    'panel',
    'safe_path',
    'tile_images',
    'write_image',
]
