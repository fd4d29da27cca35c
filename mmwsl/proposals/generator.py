"""Making object proposals without a trained model.

B: number of trees, S: number of regions, K: number of candidates, (H, W): size
of the image. Sets of regions are bool (K, S).
"""

from typing import (
    Any,
    Dict,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import cv2
import numpy as np

from mmwsl.proposals.regions import (
    RegionGraph,
    affinities,
    edge_maps,
    network_edges,
    region_graph,
    resize_within,
    superpixels,
    to_lab,
)
from mmwsl.structures import Proposals

# Raised when other proposals come out of the same settings.
VERSION = 1
# How much more likely (as a logarithm) a candidate is an object for each
# standard deviation of a property above the image's mean.
PRIOR = dict(rim=-0.5, step=1.0, cut=-0.5, area=-0.5, roughness=-0.5)
# Of how many regions at the top of a tree pairs are joined.
_PAIRED = 20
# How many of the most likely candidates are taken as guesses of objects.
_MAX_GUESSES = 800
# How many gains are brought up to date at once.
_REFRESH = 16
# What merging two regions adds up; the matrices add up rows and columns.
_SUMS = ('area', 'color', 'texture', 'embedding')
_MATRICES = ('length', 'step', 'region')


class Criterion(NamedTuple):
    """Weights of how different two touching regions are."""

    # Of half the L1 distance of the histograms.
    color: float = 0.0
    texture: float = 0.0
    # Of the mean of an edge map along the border.
    step: float = 0.0
    region: float = 0.0
    # Of the distance in the spectral embedding.
    spectral: float = 0.0
    # Of the share of the image that the common box has free.
    fill: float = 0.0
    # The sum is multiplied by the smaller region's share of the image to this
    # power, so that small regions go first.
    balance: float = 0.0


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

    1. A watershed into about ``num_superpixels`` graph.
    2. One tree of merges for each criterion: colour, texture, two kinds of
       edges, a spectral embedding, and mixtures of them.
    3. Candidates: all nodes of the trees, and pairs of touching nodes.
    4. A prior of how likely each is an object, from edges along its outline
       and its share of the border of the image.
    5. The proposals that give the largest expected best overlap.

    Same image, same proposals: nothing is random.

    Args:
        max_proposals: How many proposals an image gets at most.
        num_superpixels: How many regions to merge.
        min_share: Smallest share of the image that is proposed.
        max_share: Largest share of the image that is proposed.
        pixels: Images with fewer pixels than the first number are enlarged
            to it, those with more than the second shrunk to it; masks still
            have the size of the image.

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

    def __call__(
        self, img: np.ndarray, edges: Optional[np.ndarray] = None
    ) -> Proposals:
        """Propose masks in an image.

        Args:
            img: BGR uint8 (H, W, 3).
            edges: float (H, W) in [0, 1], edges that a network found, in
                place of the generator's own.

        Returns:
            At least one and at most ``max_proposals`` masks, best first, with
            what each adds to the expected best overlap as scores.
        """
        if img.ndim != 3 or img.shape[2] != 3 or img.dtype != np.uint8:
            raise ValueError(
                'ProposalGenerator: the image must be uint8 (H, W, 3), got '
                f'{img.dtype} {img.shape}'
            )
        if edges is not None and edges.shape != img.shape[:2]:
            raise ValueError(
                f'ProposalGenerator: the edges are {edges.shape}, the image '
                f'{img.shape[:2]}'
            )
        small = resize_within(img, self.pixels)
        lab = to_lab(small)
        if edges is None:
            maps = edge_maps(lab)
        else:
            maps = network_edges(edges, lab.shape[:2])
        found = superpixels(small, lab, maps, self.num_superpixels)
        graph = region_graph(found, lab, maps)
        # OpenCV resizes no 64-bit numbers.
        labels = cv2.resize(
            graph.labels.astype(np.float32),
            (img.shape[1], img.shape[0]),
            interpolation=cv2.INTER_NEAREST,
        ).astype(np.int64)
        sets, scores = self._sets(graph, np.unique(labels))
        # Set by set: a single gather of all masks leaves the cache.
        masks = np.empty((len(sets), *labels.shape), dtype=bool)
        for mask, members in zip(masks, sets):
            mask[:] = members.take(labels)
        return Proposals(masks, scores)

    def _sets(
        self, graph: RegionGraph, seen: np.ndarray
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Return the chosen sets of regions bool (K, S) and scores (K,)."""
        trees = merge_trees(graph, CRITERIA)
        sets = candidate_sets(graph, trees, self.min_share, self.max_share)
        # A region of an enlarged image can fall between all pixels.
        sets = sets[sets[:, seen].any(axis=1)]
        if not len(sets):
            # The whole image, so that there is a proposal to read.
            return np.ones((1, len(graph.area)), dtype=bool), np.ones(1)
        prior = object_prior(graph, sets, PRIOR)
        chosen, scores = choose(graph, sets, prior, self.max_proposals)
        return sets[chosen], scores


def candidate_sets(
    graph: RegionGraph, trees: np.ndarray, min_share: float, max_share: float
) -> np.ndarray:
    """Collect the nodes of all trees, and pairs of nodes near the top.

    A pair is joined if its nodes touch and share no region. That makes up
    for objects of two colours, which trees join with the background first.

    Returns:
        bool (K, S), each set once, with such shares of the image.
    """
    regions = len(graph.area)
    found = []
    for tree in trees:
        members = tree_members(tree)
        large = _within(graph, members, min_share, 1.0)
        # The top: what the last merges made, and what they were made of.
        last = min(_PAIRED, regions - 1)
        nodes = {*range(len(members) - last, len(members))}
        nodes.update(tree[len(tree) - last :].flatten().tolist())
        top = members[sorted(nodes)]
        top = top[_within(graph, top, min_share, 1.0)]
        found += [members[large], _joined_pairs(graph, top)]
    sets = np.concatenate(found)
    # Each once, in a fixed order.
    packed = np.ascontiguousarray(np.packbits(sets, axis=1))
    rows = packed.view(np.dtype((np.void, packed.shape[1]))).reshape(-1)
    _, first = np.unique(rows, return_index=True)
    sets = sets[np.sort(first)]
    return sets[_within(graph, sets, min_share, max_share)]


def _within(
    graph: RegionGraph, sets: np.ndarray, low: float, high: float
) -> np.ndarray:
    """Return which sets (K,) have such a share of the image."""
    share = sets @ graph.area / graph.area.sum()
    inside: np.ndarray = (share >= low) & (share <= high)
    return inside


def _joined_pairs(graph: RegionGraph, sets: np.ndarray) -> np.ndarray:
    values = sets.astype(np.float32)
    apart = values @ values.T == 0
    touching = values @ graph.length @ values.T > 0
    one, other = np.nonzero(np.triu(apart & touching, 1))
    joined: np.ndarray = sets[one] | sets[other]
    return joined


def merge_trees(
    graph: RegionGraph, criteria: Sequence[Criterion]
) -> np.ndarray:
    """Merge the two most similar touching regions until one is left.

    All trees grow in the same steps of dense arrays: with a few hundred
    regions that is faster than a queue for each tree.

    Returns:
        int64 (B, S - 1, 2), the two nodes that each step merges. Nodes 0 to
        S - 1 are the regions, and step i makes node S + i.
    """
    trees, regions = len(criteria), len(graph.area)
    state = {
        name: np.repeat(getattr(graph, name)[None], trees, axis=0)
        for name in (*_SUMS, *_MATRICES, 'box')
    }
    weights = np.array(criteria, dtype=np.float32)
    tree = np.arange(trees)
    distances = np.empty((trees, regions, regions), dtype=np.float32)
    for region in range(regions):
        row = _distances(state, weights, np.full(trees, region))
        distances[:, region] = row
    flat = distances.reshape(trees, -1)
    children = np.empty((trees, regions - 1, 2), dtype=np.int64)
    node_of = np.tile(np.arange(regions), (trees, 1))
    for step in range(regions - 1):
        kept, gone = np.divmod(flat.argmin(axis=1), regions)
        children[:, step, 0] = node_of[tree, kept]
        children[:, step, 1] = node_of[tree, gone]
        node_of[tree, kept] = regions + step
        _merge(state, tree, kept, gone)
        distances[tree, gone] = distances[tree, :, gone] = np.inf
        row = _distances(state, weights, kept)
        distances[tree, kept] = distances[tree, :, kept] = row
    return children


def tree_members(tree: np.ndarray) -> np.ndarray:
    """Return the regions in each node of a tree, bool (2 S - 1, S)."""
    regions = len(tree) + 1
    members = np.zeros((2 * regions - 1, regions), dtype=bool)
    members[:regions] = np.eye(regions, dtype=bool)
    for node, children in enumerate(tree, regions):
        members[node] = members[children].any(axis=0)
    return members


def _distances(
    state: Dict[str, np.ndarray], weights: np.ndarray, region: np.ndarray
) -> np.ndarray:
    """Compare one region a tree (B,) with all others, by weights (B, 7).

    The distances float32 (B, S) are inf where the regions do not touch.
    """
    tree = np.arange(len(region))
    area = np.maximum(state['area'], 1)[..., None]
    total = state['area'].sum(axis=1)[:, None]

    def differences(name: str) -> np.ndarray:
        values: np.ndarray = state[name] / area
        values -= values[tree, region][:, None]
        return values

    length = state['length'][tree, region]
    shared = np.maximum(length, 1)
    # The box of both regions, and what they fill of it.
    box, own = state['box'], state['box'][tree, region][:, None]
    sides = np.maximum(box[..., 2:], own[..., 2:])
    sides = sides - np.minimum(box[..., :2], own[..., :2])
    used = state['area'] + state['area'][tree, region][:, None]
    parts = (
        np.abs(differences('color')).sum(axis=2) / 2,
        np.abs(differences('texture')).sum(axis=2) / 2,
        state['step'][tree, region] / shared,
        state['region'][tree, region] / shared,
        np.sqrt((differences('embedding') ** 2).sum(axis=2)),
        np.maximum(sides.prod(axis=2) - used, 0) / total,
    )
    distance = sum(w[:, None] * part for w, part in zip(weights.T, parts))
    smaller = np.minimum(state['area'], state['area'][tree, region][:, None])
    distance *= (smaller / total + 1e-4) ** weights[:, -1:]
    return np.where(length > 0, distance, np.inf)


def _merge(
    state: Dict[str, np.ndarray],
    tree: np.ndarray,
    kept: np.ndarray,
    gone: np.ndarray,
) -> None:
    """Make the regions ``gone`` (B,) part of ``kept`` (B,), in place."""
    for name in _SUMS:
        state[name][tree, kept] += state[name][tree, gone]
        state[name][tree, gone] = 0
    for name in _MATRICES:
        matrix = state[name]
        row = matrix[tree, kept] + matrix[tree, gone]
        row[tree, kept] = row[tree, gone] = 0
        matrix[tree, kept] = matrix[tree, :, kept] = row
        matrix[tree, gone] = matrix[tree, :, gone] = 0
    box = state['box']
    box[tree, kept, :2] = np.minimum(box[tree, kept], box[tree, gone])[:, :2]
    box[tree, kept, 2:] = np.maximum(box[tree, kept], box[tree, gone])[:, 2:]


def object_prior(
    graph: RegionGraph, sets: np.ndarray, weights: Mapping[str, float]
) -> np.ndarray:
    """Guess how likely candidates are objects, float32 (K,) that sum to 1.

    The probability is proportional to exp(sum of weight times property), each
    of :func:`set_properties` standardised over the candidates.
    """
    properties = set_properties(graph, sets)
    logit = np.zeros(len(sets))
    for name, weight in weights.items():
        values = properties[name].astype(np.float64)
        spread = max(float(values.std()), 1e-6)
        logit += weight * (values - values.mean()) / spread
    # Far out everything is equally (un)likely.
    prior = np.exp(np.clip(logit, -12, 12))
    return (prior / prior.sum()).astype(np.float32)


def set_properties(
    graph: RegionGraph, sets: np.ndarray
) -> Dict[str, np.ndarray]:
    """Measure candidates.

    Returns:
        Arrays (K,): ``rim``, the share of the outline at the border of
        the image; ``step``, the mean edge along the rest of the outline;
        ``cut``, the logarithm of the normalised cut; ``area``, the logarithm
        of the share of the image; ``roughness``, the logarithm of the whole
        outline over the root of the area.
    """
    members = sets.astype(np.float32)
    area = members @ graph.area
    outline, _ = _cut(graph.length, members)
    rim = members @ graph.rim
    step, _ = _cut(graph.step, members)
    cut, inside = _cut(affinities(graph), members)
    outside = affinities(graph).sum() - 2 * cut - inside
    return dict(
        rim=rim / np.maximum(outline + rim, 1),
        step=step / np.maximum(outline, 1),
        cut=np.log(cut / np.maximum(np.minimum(inside, outside), 1) + 0.01),
        area=np.log(area / graph.area.sum()),
        roughness=np.log((outline + rim) / np.sqrt(area)),
    )


def _cut(
    matrix: np.ndarray, members: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Sum a matrix (S, S) over the outline of each set and inside it."""
    inside = ((members @ matrix) * members).sum(axis=1)
    return members @ matrix.sum(axis=1) - inside, inside


def set_ious(
    graph: RegionGraph, sets: np.ndarray, others: np.ndarray
) -> np.ndarray:
    """Return the IoU of all pairs of sets (K, S) and others (G, S)."""
    one, other = sets.astype(np.float32), others.astype(np.float32)
    common = (one * graph.area) @ other.T
    union = (one @ graph.area)[:, None] + other @ graph.area - common
    iou: np.ndarray = common / np.maximum(union, 1)
    return iou


def choose(
    graph: RegionGraph, sets: np.ndarray, prior: np.ndarray, number: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Choose candidates that overlap well with whatever the object is.

    The most likely candidates are taken as guesses of where an object is.
    Then one candidate after the other is chosen, each time the one that adds
    most to the expected best overlap, ``sum_g prior_g * max_k IoU(k, g)``:
    likely candidates come first, and none that says the same as another.

    Returns:
        Indices of the chosen ones, int64, best first, ``number`` at most; and
        what each adds to the expected best overlap, in [0, 1] and falling.
    """
    guesses = np.argsort(-prior, kind='stable')[:_MAX_GUESSES]
    ious = set_ious(graph, sets, sets[guesses])
    chance = prior[guesses] / prior[guesses].sum()
    best = np.zeros(len(guesses), dtype=np.float32)
    gain = ious @ chance
    chosen: List[int] = []
    gains: List[float] = []
    while len(chosen) < min(number, len(sets)):
        # Gains only fall, so the largest one counts as soon as it is known
        # to be up to date; most never have to be computed again.
        current = np.zeros(len(sets), dtype=bool)
        while not current[(top := int(gain.argmax()))]:
            stale = np.argpartition(-gain, min(_REFRESH, len(gain) - 1))
            stale = np.append(stale[:_REFRESH], top)
            gain[stale] = np.maximum(ious[stale] - best, 0) @ chance
            gain[chosen] = -1
            current[stale] = True
        if gain[top] <= 0:
            break
        chosen.append(top)
        gains.append(float(gain[top]))
        best = np.maximum(best, ious[top])
        gain[top] = -1
    # Nothing adds anything any more: likely ones first.
    likely = np.argsort(-prior, kind='stable')
    rest = likely[~np.isin(likely, chosen)]
    missing = min(number, len(sets)) - len(chosen)
    chosen += rest[:missing].tolist()
    gains += [0.0] * missing
    return np.array(chosen, dtype=np.int64), np.array(gains, dtype=np.float32)
