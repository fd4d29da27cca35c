"""How well saliency maps agree with what is salient.

Shape shorthand: n images, T thresholds.
"""

from typing import Dict, Sequence

import numpy as np

from mmwsl.evaluation.functional.pixel_pr import pixel_scores

# What favours precision, the square of beta ("Frequency-tuned Salient Region
# Detection", CVPR 2009).
BETA_SQUARED = 0.3


def saliency_scores(
    histograms: np.ndarray, thresholds: Sequence[float]
) -> Dict[str, float]:
    """Compute the F-measure and the IoU at their best thresholds.

    As usual in that literature the F-measure is that of the mean precision
    and the mean recall of all images; an image in which nothing reaches a
    threshold has precision 0 there. The IoU is that of all pixels together.

    Args:
        histograms (np.ndarray): (n, 2, T + 2), of
            :func:`~mmwsl.evaluation.functional.pixel_pr.pixel_histograms`.
        thresholds (Sequence[float]): The T thresholds of these.

    Returns:
        dict: ``maxF`` and ``IoU``, fractions, and their thresholds
        ``F_threshold`` and ``IoU_threshold``, of equal ones the lowest.
        Images without anything salient count in the IoU alone; with only
        such images all four are NaN.
    """
    objects = histograms[:, 1].sum(axis=1) > 0
    if not objects.any():
        names = ('maxF', 'F_threshold', 'IoU', 'IoU_threshold')
        return dict.fromkeys(names, float('nan'))
    single = pixel_scores(histograms[objects])
    precision = np.nan_to_num(single['precision']).mean(axis=0)
    recall = single['recall'].mean(axis=0)
    weighted = BETA_SQUARED * precision + recall
    f = (1 + BETA_SQUARED) * precision * recall
    f = f / np.where(weighted > 0, weighted, 1)
    iou = pixel_scores(histograms.sum(axis=0))['iou']
    best_f, best_iou = int(f.argmax()), int(iou.argmax())
    return dict(
        maxF=float(f[best_f]),
        F_threshold=float(thresholds[best_f]),
        IoU=float(iou[best_iou]),
        IoU_threshold=float(thresholds[best_iou]),
    )
