"""The head of LayerCAM: maps of shallow stages, by gradients."""

from typing import Any, Sequence

import torch
from mmengine.structures import PixelData
from torch import Tensor

from mmwsl.models.heads.cam_head import (
    CAMHead,
    input_shapes,
    merge_views,
    normalize_maps,
    score_map,
)
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample
from mmwsl.utils.arrays import unflip


@MODELS.register_module()
class LayerCAMHead(CAMHead):
    """LayerCAM (https://ieeexplore.ieee.org/document/9462463).

    A :class:`CAMHead`, with the same training, weights and scores, whose maps
    are those of features A of one or several stages::

        M_c = relu(sum_k relu(d score_c / d A_k) * A_k)

    The stages are the outputs of the backbone, or of the neck if there is
    one: ``model.backbone.out_indices=[1,2,3]`` asks for the last three. Each
    map is brought to the size of the image and divided by its maximum. Of
    several the maximum is taken, where shallow maps, all but the last, whose
    values are small, are ``tanh(gamma M)``.

    The features are those of the first of the test's scales, as it is: other
    views take part in the scores alone.

    Args:
        *args: Those of :class:`CAMHead`.
        gamma: Factor of shallow maps, the paper's 2 by default.
        **kwargs: As ``*args``.
    """

    instances = True

    def __init__(self, *args: Any, gamma: float = 2.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gamma = gamma

    def predict_instances(
        self,
        model: Any,
        inputs: Tensor,
        data_samples: Sequence[WSLDataSample],
    ) -> None:
        """Replace the maps and label maps of predicted samples.

        Args:
            model: The whole model.
            inputs: Images (N, 3, h', w') of the first view.
            data_samples: N samples, as :meth:`predict_views` returns them.
        """
        wanted = [sample.pred_map_labels for sample in data_samples]
        if self.score_map_size is not None:
            wanted = [
                torch.cat([labels, self._scored_label(sample).reshape(1)])
                for labels, sample in zip(wanted, data_samples)
            ]
        # Frozen stages have gradients by way of the image.
        feats = model.extract_feat(inputs.detach().requires_grad_())
        scores = self.scores(self(feats).float())
        classes = sorted(set(torch.cat(wanted).tolist())) if wanted else []
        maps = {
            label: layer_cams(scores[:, label].sum(), feats)
            for label in classes
        }
        for number, (sample, labels) in enumerate(zip(data_samples, wanted)):
            size = tuple(sample.ori_shape[:2])
            fused = scores.new_zeros((len(labels), *size))
            for stage, feat in enumerate(feats if len(labels) else ()):
                cams = [maps[c][stage][number] for c in labels.tolist()]
                cam = normalize_maps(
                    merge_views(
                        [torch.stack(cams)], size, *input_shapes(sample)
                    )
                )
                if feat is not feats[-1]:
                    cam = (self.gamma * cam).tanh()
                fused = torch.maximum(fused, cam)
            fused = unflip(fused, sample.get('flip_direction'))
            kept = sample.pred_map_labels
            self.set_maps(sample, normalize_maps(fused[: len(kept)]), kept)
            if self.score_map_size is not None:
                found = score_map([fused[-1]], self.score_map_size, size, size)
                sample.pred_score_map = PixelData(data=found[None])


def layer_cams(score: Tensor, feats: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return the maps (N, h, w) of features (N, K, h, w) of each stage.

    Args:
        score: Sum over images of the score of a class.
        feats: What the score was computed from.
    """
    gradients = torch.autograd.grad(score, feats, retain_graph=True)
    return [
        (gradient.relu() * feat.detach()).sum(dim=1).relu()
        for gradient, feat in zip(gradients, feats)
    ]
