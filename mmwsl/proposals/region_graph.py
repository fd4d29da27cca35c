"""What is known of the regions of an image and of the borders between them.

S: number of regions, (H, W): size of the image.
"""

from typing import NamedTuple

import cv2
import numpy as np

from mmwsl.proposals.edges import (
    NUM_TEXTURES,
    EdgeMaps,
    scaled_lab,
    texture_codes,
)
from mmwsl.proposals.superpixels import borders

_COLOR_BINS = 12
_JOINT_BINS = 8
# Edges of this strength separate; shares of the largest edge.
_EDGE_SCALE = 0.12


class RegionGraph(NamedTuple):
    """Regions and their borders, float32; all sums, so that they add up.

    Attributes:
        area: Pixels (S,).
        rim: Pixels at the border of the image (S,).
        color: Histograms of L, a, b and of a and b together (S, bins), each
            row sums to ``area``.
        texture: Histograms of gradient directions (S, bins), likewise.
        box: Left, top, right, bottom edge (S, 4).
        length: Length of the border between two regions (S, S), 0 where they
            do not touch.
        step, region: Both kinds of edges summed along it (S, S).
        embedding: Coordinates (S, d) in which regions are close that no edge
            separates, times ``area``.
    """

    area: np.ndarray
    rim: np.ndarray
    color: np.ndarray
    texture: np.ndarray
    box: np.ndarray
    length: np.ndarray
    step: np.ndarray
    region: np.ndarray
    embedding: np.ndarray


def region_graph(
    labels: np.ndarray, lab: np.ndarray, edges: EdgeMaps
) -> RegionGraph:
    """Gather what is known of the regions of an image.

    Args:
        labels (np.ndarray): int64 (H, W), region of each pixel.
        lab (np.ndarray): CIELAB float32 (H, W, 3).
        edges (EdgeMaps): Of the image.
    """
    number = int(labels.max()) + 1
    area = np.bincount(labels.reshape(-1), minlength=number)
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    found = borders(labels, np.stack(edges))
    matrices = np.zeros((3, number, number), dtype=np.float32)
    values = np.stack([found.length, *found.sums.T])
    matrices[:, found.first, found.second] = values
    matrices[:, found.second, found.first] = values
    graph = RegionGraph(
        area=area.astype(np.float32),
        rim=np.bincount(rim, minlength=number).astype(np.float32),
        color=_color_histograms(labels, lab, number),
        texture=_histograms(
            labels, texture_codes(lab[..., 0]), number, NUM_TEXTURES
        ),
        box=_boxes(labels, number),
        length=matrices[0],
        step=matrices[1],
        region=matrices[2],
        embedding=np.zeros((number, 0), dtype=np.float32),
    )
    return graph._replace(embedding=_embedding(graph) * graph.area[:, None])


def _histograms(
    labels: np.ndarray, bins: np.ndarray, number: int, size: int
) -> np.ndarray:
    keys = (labels * size + bins).reshape(-1)
    counts = np.bincount(keys, minlength=number * size)
    return counts.reshape(number, size).astype(np.float32)


def _color_histograms(
    labels: np.ndarray, lab: np.ndarray, number: int
) -> np.ndarray:
    scaled = cv2.GaussianBlur(scaled_lab(lab), (0, 0), 0.8)
    parts = []
    for channel in np.moveaxis(scaled, 2, 0):
        # Shared between the two nearest bins.
        places = channel * (_COLOR_BINS - 1)
        lower = np.minimum(places.astype(np.int64), _COLOR_BINS - 2)
        share = (places - lower).reshape(-1)
        keys = (labels * _COLOR_BINS + lower).reshape(-1)
        size = number * _COLOR_BINS
        counts = np.bincount(keys, 1 - share, size)
        counts += np.bincount(keys + 1, share, size)
        parts.append(counts.reshape(number, _COLOR_BINS))
    a, b = np.minimum(
        (np.moveaxis(scaled[..., 1:], 2, 0) * _JOINT_BINS).astype(np.int64),
        _JOINT_BINS - 1,
    )
    joint = _histograms(labels, a * _JOINT_BINS + b, number, _JOINT_BINS**2)
    parts.append(joint)
    return (np.concatenate(parts, axis=1) / len(parts)).astype(np.float32)


def _boxes(labels: np.ndarray, number: int) -> np.ndarray:
    flat = labels.reshape(-1)
    y, x = np.divmod(np.arange(labels.size), labels.shape[1])
    order = np.argsort(flat, kind='stable')
    starts = np.searchsorted(flat[order], np.arange(number))
    box = [
        np.minimum.reduceat(x[order], starts),
        np.minimum.reduceat(y[order], starts),
        np.maximum.reduceat(x[order], starts) + 1,
        np.maximum.reduceat(y[order], starts) + 1,
    ]
    return np.stack(box, axis=1).astype(np.float32)


def affinities(graph: RegionGraph) -> np.ndarray:
    """Say how much holds two regions together.

    Returns:
        np.ndarray: float32 (S, S), the length of the border times a factor
        that falls from 1 with the mean edge along it.
    """
    edge = (graph.step + graph.region) / np.maximum(graph.length, 1) / 2
    weight: np.ndarray = np.exp(-edge / _EDGE_SCALE) * graph.length
    return weight


def _embedding(graph: RegionGraph, size: int = 12) -> np.ndarray:
    """Embed regions by the eigenvectors of their normalised graph.

    The vectors are those of normalised cuts, each divided by the root of its
    eigenvalue, as in Arbelaez et al., "Contour Detection and Hierarchical
    Image Segmentation": slow modes, which cut the image at few edges, weigh
    most.

    Returns:
        np.ndarray: float32 (S, up to ``size``), of variance 1 in the first
        column.
    """
    touch = graph.length > 0
    length = np.maximum(graph.length, 1)
    edge = (graph.step + graph.region) / length / 2
    color = graph.color / graph.area[:, None]
    edge += _EDGE_SCALE / 4 * np.abs(color[:, None] - color).sum(axis=2)
    weight = np.exp(-edge.astype(np.float64) / _EDGE_SCALE) * np.sqrt(length)
    weight = np.where(touch, weight + 1e-6, 0)
    scale = 1 / np.sqrt(np.maximum(weight.sum(axis=1), 1e-12))
    values, vectors = np.linalg.eigh(scale[:, None] * weight * scale)
    # The largest one is constant; its Laplacian eigenvalue is 0.
    values = 1 - values[::-1][1 : size + 1]
    vectors = vectors[:, ::-1][:, 1 : size + 1] * scale[:, None]
    # The sign of an eigenvector is arbitrary, but only distances count.
    share = graph.area[:, None] / graph.area.sum()
    vectors /= np.sqrt((vectors**2 * share).sum(axis=0))
    values = np.maximum(values, 1e-4)
    return (vectors / np.sqrt(values / values[:1])).astype(np.float32)
