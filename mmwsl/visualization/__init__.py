"""Pictures."""

from mmwsl.visualization.assignment import draw_assignment
from mmwsl.visualization.batch_images import (
    batch_images,
    input_image,
    original_image,
)
from mmwsl.visualization.boxes import draw_boxes
from mmwsl.visualization.caption import caption, draw_text
from mmwsl.visualization.density import count_text, draw_density
from mmwsl.visualization.heatmap import heatmap_overlay
from mmwsl.visualization.instances import draw_instances
from mmwsl.visualization.label_map import class_colors, draw_label_map
from mmwsl.visualization.peaks import draw_peak_responses, draw_peaks
from mmwsl.visualization.scatter import CountScatter
from mmwsl.visualization.score_map import draw_score_map
from mmwsl.visualization.tiles import (
    Tile,
    contact_sheet,
    display_size,
    letterbox,
    panel,
    tile_images,
)
from mmwsl.visualization.visualizer import WSLVisualizer
from mmwsl.visualization.writing import write_image

__all__ = [
    'CountScatter',
    'Tile',
    'WSLVisualizer',
    'batch_images',
    'caption',
    'class_colors',
    'contact_sheet',
    'count_text',
    'display_size',
    'draw_assignment',
    'draw_boxes',
    'draw_density',
    'draw_instances',
    'draw_label_map',
    'draw_peak_responses',
    'draw_peaks',
    'draw_score_map',
    'draw_text',
    'heatmap_overlay',
    'input_image',
    'letterbox',
    'original_image',
    'panel',
    'tile_images',
    'write_image',
]
