"""Instances from the segment proposals of an image."""

from typing import Dict, Optional

import numpy as np

from mmwsl.evaluation.functional import retrieve_instances
from mmwsl.evaluation.functional.background_masks import MAP_RESIZES
from mmwsl.models.task_modules.response_maps import to_unit_sum
from mmwsl.registry import TASK_UTILS
from mmwsl.structures import PackedMasks


@TASK_UTILS.register_module()
class ProposalRetrieval:
    """Takes the best proposal for every peak response map.

    PRM (https://arxiv.org/abs/1804.00880), section 3.3, with the count term
    of LC (https://arxiv.org/abs/1903.02494); see
    :func:`mmwsl.evaluation.functional.retrieve_instances`.

    Args:
        alpha: Weight of the response inside the proposal.
        beta: Cost of a background pixel inside the proposal.
        gamma: Weight of the count term; LC's is 0.2, and needs density maps.
        bg_factor: Background is where the class map is below this part of
            its mean.
        nms_threshold: IoU above which masks are suppressed.
        max_proposals: How many proposals, the first ones, are used.
        map_resize: 'bilinear', or 'released' for 8-bit bicubic pictures of
            the maps that peaks are found on.

    Raises:
        ValueError: If a setting is out of range.
    """

    def __init__(
        self,
        alpha: float = 0.8,
        beta: float = 1e-5,
        gamma: float = 0.0,
        bg_factor: float = 0.95,
        nms_threshold: float = 0.3,
        max_proposals: int = 100,
        map_resize: str = 'bilinear',
    ) -> None:
        if max_proposals < 1:
            raise ValueError(f'max_proposals must be > 0, got {max_proposals}')
        if map_resize not in MAP_RESIZES:
            raise ValueError(
                f'map_resize must be one of {MAP_RESIZES}, got {map_resize!r}'
            )
        self.max_proposals = max_proposals
        self.released = map_resize == 'released'
        self.settings = dict(
            alpha=alpha,
            beta=beta,
            gamma=gamma,
            bg_factor=bg_factor,
            nms_threshold=nms_threshold,
            map_resize=map_resize,
        )

    def __call__(
        self,
        prms: np.ndarray,
        classes: np.ndarray,
        class_maps: np.ndarray,
        proposals: PackedMasks,
        density: Optional[np.ndarray] = None,
    ) -> Dict[str, np.ndarray]:
        """Make the instances of one image.

        Args:
            prms: (P, H, W), each with the sum 1.
            classes: (P,).
            class_maps: (C, h, w) before any activation.
            proposals: K masks of H x W pixels, best first.
            density: (C, h', w') whose sum over a class is its count.

        Returns:
            Best first ``scores`` (M,), ``labels`` (M,), ``masks`` bool
            (M, H, W), ``prms`` (M, H, W), merged and with the sum 1 again,
            and ``peak_index`` (M,).

        Raises:
            ValueError: If sizes do not fit.
        """
        found = retrieve_instances(
            prms,
            classes,
            class_maps,
            proposals[: self.max_proposals],
            density=density,
            **self.settings,  # type: ignore[arg-type]
        )
        found['prms'] = to_unit_sum(found['prms'])
        return found
