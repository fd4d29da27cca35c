"""Making object proposals without a trained model.

S: number of regions, (H, W): size of the image.
"""

from typing import Any, Dict, Tuple

import cv2
import numpy as np

from mmwsl.proposals.candidates import candidate_sets
from mmwsl.proposals.edges import edge_maps, to_lab
from mmwsl.proposals.merging import Criterion, merge_trees
from mmwsl.proposals.region_graph import RegionGraph, region_graph
from mmwsl.proposals.selection import PRIOR, choose, object_prior
from mmwsl.proposals.superpixels import superpixels
from mmwsl.structures import Proposals

# Raised when other proposals come out of the same settings.
VERSION = 1
CRITERIA = (
    Criterion(1.0, 0.5, 1.0, 1.0, 0.1, balance=0.3),
    Criterion(1.0, 0.5, 1.0, 1.0, 0.1, balance=0.5),
    Criterion(1.0, 0.5, 1.0, 1.0, 0.1, fill=0.5, balance=0.2),
    Criterion(0.3, 0.2, 0.3, 0.3, 0.5, balance=0.2),
    Criterion(spectral=1.0, balance=0.2),
    Criterion(region=1.0, balance=0.4),
    Criterion(color=1.0, balance=0.2),
)


class ProposalGenerator:
    """Proposes object masks by merging superpixels in several ways.

    In the spirit of selective search (Uijlings et al., IJCV 2013) and MCG
    (Arbelaez et al., CVPR 2014), but without anything learned:

    1. A watershed, merged down to ``num_superpixels`` regions.
    2. One tree of merges for each criterion: colour, texture, two kinds of
       edges, a spectral embedding, and mixtures of them.
    3. Candidates: all nodes of the trees, and pairs of touching nodes.
    4. A prior of how likely each is an object, from edges along its outline
       and its share of the border of the image.
    5. The proposals that give the largest expected best overlap.

    Same image, same proposals: nothing is random.

    Args:
        max_proposals (int): How many proposals an image gets at most.
        num_superpixels (int): How many regions to merge.
        min_share (float): Smallest share of the image that is proposed.
        max_share (float): Largest share of the image that is proposed.
        pixels (tuple[int]): Images with fewer pixels than the first number
            are enlarged to it, those with more than the second shrunk to it;
            masks still have the size of the image.

    Raises:
        ValueError: If a number is out of range.

    Example:
        >>> ProposalGenerator(max_proposals=100)(cv2.imread('a.jpg')).shape
        (100, 375, 500)
    """

    def __init__(
        self,
        max_proposals: int = 200,
        num_superpixels: int = 300,
        min_share: float = 0.002,
        max_share: float = 0.9,
        pixels: Tuple[int, int] = (50000, 200000),
    ) -> None:
        if max_proposals < 1 or num_superpixels < 2:
            raise ValueError(
                'ProposalGenerator: max_proposals must be at least 1 and '
                f'num_superpixels at least 2, got {max_proposals} and '
                f'{num_superpixels}'
            )
        if not 0 <= min_share < max_share <= 1:
            raise ValueError(
                'ProposalGenerator: min_share and max_share must be in '
                f'[0, 1], ascending, got {min_share} and {max_share}'
            )
        if not 0 < pixels[0] <= pixels[1]:
            raise ValueError(
                'ProposalGenerator: pixels must be two ascending positive '
                f'numbers, got {pixels}'
            )
        self.max_proposals = max_proposals
        self.num_superpixels = num_superpixels
        self.min_share = min_share
        self.max_share = max_share
        self.pixels = (int(pixels[0]), int(pixels[1]))

    @property
    def parameters(self) -> Dict[str, Any]:
        """What the proposals depend on, to be kept with them."""
        return dict(
            generator='superpixel merging',
            version=VERSION,
            max_proposals=self.max_proposals,
            num_superpixels=self.num_superpixels,
            min_share=self.min_share,
            max_share=self.max_share,
            pixels=list(self.pixels),
        )

    def __call__(self, img: np.ndarray) -> Proposals:
        """Propose masks.

        Args:
            img (np.ndarray): BGR uint8 (H, W, 3).

        Returns:
            Proposals: At least one and at most ``max_proposals`` masks (K,
            H, W), best first, with what each adds to the expected best
            overlap as scores.

        Raises:
            ValueError: If ``img`` is no colour image of 8 bits.
        """
        if img.ndim != 3 or img.shape[2] != 3 or img.dtype != np.uint8:
            raise ValueError(
                'ProposalGenerator: the image must be uint8 (H, W, 3), got '
                f'{img.dtype} {img.shape}'
            )
        labels, graph = self._regions(self._resized(img))
        sets, scores = self._sets(graph)
        height, width = img.shape[:2]
        if labels.shape != (height, width):
            # OpenCV resizes no 64-bit numbers.
            labels = cv2.resize(
                labels.astype(np.float32),
                (width, height),
                interpolation=cv2.INTER_NEAREST,
            ).astype(np.int64)
        # Set by set: a single gather of all masks leaves the cache.
        masks = (members.take(labels) for members in sets)
        proposals = Proposals(np.stack(list(masks)), scores)
        # A region of an enlarged image can fall between all pixels.
        return proposals[proposals.masks.any(axis=(1, 2))]

    def _resized(self, img: np.ndarray) -> np.ndarray:
        height, width = img.shape[:2]
        pixels = np.clip(height * width, *self.pixels)
        factor = float(np.sqrt(pixels / (height * width)))
        if factor == 1:
            return img
        # Two regions need some pixels in each direction.
        size = [max(8, round(edge * factor)) for edge in (width, height)]
        kind = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        return cv2.resize(img, size, interpolation=kind)

    def _regions(self, img: np.ndarray) -> Tuple[np.ndarray, RegionGraph]:
        lab = to_lab(img)
        edges = edge_maps(lab)
        labels = superpixels(img, lab, edges, self.num_superpixels)
        return labels, region_graph(labels, lab, edges)

    def _sets(self, graph: RegionGraph) -> Tuple[np.ndarray, np.ndarray]:
        """Return the chosen sets of regions bool (K, S) and scores (K,)."""
        merges = merge_trees(graph, CRITERIA)
        sets = candidate_sets(graph, merges, self.min_share, self.max_share)
        if not len(sets):
            # The whole image, so that there is a proposal to read.
            return np.ones((1, len(graph.area)), dtype=bool), np.ones(1)
        prior = object_prior(graph, sets, PRIOR)
        chosen, scores = choose(graph, sets, prior, self.max_proposals)
        return sets[chosen], scores
