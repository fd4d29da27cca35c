"""Faithfulness of class maps: what the model says of what they mark."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from mmwsl.evaluation.functional.faithfulness import (
    explanation,
    faithfulness_scores,
    replacements,
)
from mmwsl.evaluation.metrics.base import (
    WSLMetric,
    field,
    label_indices,
    naming_image,
    pixels,
    say,
)
from mmwsl.registry import METRICS
from mmwsl.utils.arrays import array, mean, unflip
from mmwsl.utils.tables import class_name, percent

MAPS = ('pred_maps', 'peak_response_maps')
# What an image begins with before pixels are put in: blurred as RISE does.
_BLUR = dict(kernel_size=[11, 11], sigma=[5.0, 5.0])


@METRICS.register_module()
class FaithfulnessMetric(WSLMetric):
    """Average drop and increase, deletion and insertion.

    They ask the model, not a mask: how far does the probability of a class
    fall when the image is kept only where the class's map is high
    (``avg_drop``), how often does it rise (``increase``), and how large is it
    on average while pixels are taken out (``deletion``, the lower the better)
    or put into the blurred image (``insertion``), those with the highest
    values first. See
    :func:`mmwsl.evaluation.functional.faithfulness.faithfulness_scores`.
    What is taken out becomes the mean pixel that the normalisation subtracts.
    All are in percent, means over all maps of classes that an image shows.

    A high faithfulness is no good localisation: what tells a class is often
    a part of its object, or lies beside it.

    Reads ``gt_label`` and, of each image, ``pred_map_labels`` (K,) with
    ``pred_maps`` (K, H, W), or ``pred_instances`` with ``labels`` and
    ``peak_response_maps``, of which the maximum over a class's peaks is
    taken. The model is that of the run, which MetricModelHook, a part of the
    default runtime, hands over: a WSLClassifier, which sees each image as it
    is, without the views of its ``test_cfg``, and ``2 * steps + 3`` times a
    map.

    Args:
        maps (str): 'pred_maps' or 'peak_response_maps'.
        steps (int): In how many steps pixels are taken out and put in.
        batch_size (int): Images that the model sees at a time.
        options: Arguments of ``WSLMetric``.
    """

    def __init__(
        self,
        maps: str = 'pred_maps',
        steps: int = 16,
        batch_size: int = 16,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if maps not in MAPS:
            raise ValueError(f'maps must be one of {MAPS}: {maps!r}')
        if steps < 1 or batch_size < 1:
            raise ValueError('steps and batch_size must be at least 1')
        self.maps = maps
        self.steps = steps
        self.batch_size = batch_size
        self.model: Any = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Ask the model about the maps of each image."""
        if self.model is None:
            raise ValueError(
                'FaithfulnessMetric does not know the model: add '
                "dict(type='MetricModelHook') to custom_hooks"
            )
        for image, sample in zip(data_batch['inputs'], data_samples):
            with naming_image(sample):
                self.results.append(self._ask(image, sample))

    def score_all(self, results: List[dict]) -> Dict[str, float]:
        """Average over all maps."""
        labels = np.concatenate([x['label'] for x in results])
        values = faithfulness_scores(
            *(
                np.concatenate([x[key] for x in results])
                for key in ('whole', 'kept', 'deletion', 'insertion')
            )
        )
        names = dict(avg_drop=values.pop('drop'), **values)
        if self.per_class:
            kinds = sorted({*labels.tolist()})
            say(
                f'faithfulness of {len(labels)} maps (percent):',
                {
                    'class': [
                        *(class_name(self.classes, c) for c in kinds),
                        'all',
                    ],
                    'maps': [
                        *((labels == c).sum() for c in kinds),
                        len(labels),
                    ],
                    **{
                        key: [
                            *(mean(found[labels == c]) for c in kinds),
                            mean(found),
                        ]
                        for key, found in names.items()
                    },
                },
            )
        return {key: percent(mean(found)) for key, found in names.items()}

    def _ask(
        self, image: Tensor, sample: Mapping[str, Any]
    ) -> Dict[str, np.ndarray]:
        """Return labels (k,) and probabilities of an image's maps."""
        shown = label_indices(sample, 'gt_label')
        direction = sample.get('flip_direction')
        found = [
            (label, np.ascontiguousarray(unflip(marked, direction)))
            for label, marked in self._class_maps(sample)
            if label in shown
        ]
        inputs = self.model.data_preprocessor(dict(inputs=[image]))['inputs']
        size = (image.shape[-2], image.shape[-1])
        curves = np.empty((len(found), 2 * self.steps + 3))
        for row, (label, marked) in zip(curves, found):
            row[:] = self._probabilities(inputs, size, marked, label)
        first = self.steps + 2
        return dict(
            label=np.array([label for label, _ in found], dtype=np.int64),
            whole=curves[:, 1],
            kept=curves[:, 0],
            deletion=curves[:, 1:first],
            insertion=curves[:, first:],
        )

    def _class_maps(
        self, sample: Mapping[str, Any]
    ) -> Iterator[Tuple[int, np.ndarray]]:
        """Yield classes and their maps (H, W) in [0, 1]."""
        if self.maps == 'pred_maps':
            labels = label_indices(sample, 'pred_map_labels')
            yield from zip(labels.tolist(), pixels(sample, 'pred_maps'))
            return
        found = field(sample, 'pred_instances')
        labels = array(found['labels'])
        for label in np.unique(labels).tolist():
            maps = array(found[self.maps])[labels == label]
            merged = maps.max(axis=0)
            yield label, merged / max(merged.max(), 1e-6)

    @torch.no_grad()
    def _probabilities(
        self,
        inputs: Tensor,
        size: Tuple[int, int],
        marked: np.ndarray,
        label: int,
    ) -> np.ndarray:
        """Return a class's probabilities of all changed images, (2S + 1,).

        Inputs (1, 3, H', W') hold the image, of a size (H, W), at their
        upper left.
        """
        height, width = size
        # The input is normalised, and 0 its mean pixel.
        whole = inputs[0, :, :height, :width]
        empty = whole.new_zeros(())
        weights = F.interpolate(
            whole.new_tensor(marked)[None, None],
            size=size,
            mode='bilinear',
            align_corners=False,
        )[0, 0].clamp(0, 1)
        blurred = gaussian_blur(whole, **_BLUR)
        changed = [
            explanation(whole, empty, weights),
            *replacements(whole, empty, weights, self.steps),
            *replacements(blurred, whole, weights, self.steps),
        ]
        found = []
        for start in range(0, len(changed), self.batch_size):
            part = torch.stack(changed[start : start + self.batch_size])
            batch = inputs.repeat(len(part), 1, 1, 1)
            batch[..., :height, :width] = part
            scores = self.model.probabilities(batch, size)
            found.append(scores[:, label])
        return array(torch.cat(found))
