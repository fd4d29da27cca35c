"""The head of class peak responses."""

from typing import Any, Dict, List, Optional, Sequence, Tuple

from torch import Tensor, nn

from mmwsl.models.heads.cam_head import CAMHead
from mmwsl.models.heads.peak_instances import PeakChoice, PeakInstances
from mmwsl.models.layers import peak_stimulation
from mmwsl.models.layers.peak_stimulation import Threshold
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample


@MODELS.register_module()
class PRMHead(CAMHead):
    """Class peak responses (PRM, https://arxiv.org/abs/1804.00880).

    A :class:`CAMHead` whose class scores are the means of the peaks of the
    class maps. In prediction peaks are chosen, each is followed back to the
    image, which gives a peak response map, and this becomes an instance: by
    the best of the image's proposals, or grown without them.

    Args:
        num_classes: C, background not counted.
        in_channels: Channels of the features.
        window: Side of the square in which a peak is the maximum, in cells.
        threshold: Least value of a peak in training and for the scores:
            'median', 'mean' or 'max' of its map, a number, or None.
        average_gradient: Whether a map's k peaks share the gradient of its
            score, as the paper has it, or each gets all of it, as in the
            authors' code.
        peaks: Which peaks become instances, arguments of
            :class:`mmwsl.models.heads.peak_instances.PeakChoice`. Its window
            and threshold are by default those above.
        retrieval: Config of the instances of samples with ``proposals``, by
            default ProposalRetrieval.
        growth: Config of the instances of other samples, by default
            PeakGrowth.
        instances: Whether to predict instances, which takes a backward pass
            and most of the time.
        **kwargs: Arguments of :class:`CAMHead`; it does not pool, so these
            do not include ``pooling`` and ``sharpness``.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        window: int = 3,
        threshold: Threshold = 'median',
        average_gradient: bool = True,
        peaks: Optional[Dict] = None,
        retrieval: Optional[Dict] = None,
        growth: Optional[Dict] = None,
        instances: bool = True,
        **kwargs: Any,
    ) -> None:
        for name in sorted({'pooling', 'sharpness'} & set(kwargs)):
            raise ValueError(
                f'{type(self).__name__} scores by peaks and has no {name}.'
            )
        super().__init__(num_classes, in_channels, **kwargs)
        self.window = window
        self.threshold = threshold
        self.average_gradient = average_gradient
        shared = dict(window=window, threshold=threshold)
        self.peak_instances = PeakInstances(
            PeakChoice(**{**shared, **(peaks or {})}),
            retrieval or dict(type='mmwsl.ProposalRetrieval'),
            growth or dict(type='mmwsl.PeakGrowth'),
        )
        self.instances = instances

    def scores(self, class_maps: Tensor) -> Tensor:
        """Average the peaks of class maps (N, C, h, w) to logits (N, C)."""
        return self.stimulate(class_maps)[0]

    def stimulate(self, class_maps: Tensor) -> Tuple[Tensor, Tensor]:
        """Return the scores (N, C) and peaks (N, C, h, w) of class maps."""
        return peak_stimulation(
            class_maps, self.window, self.threshold, self.average_gradient
        )

    def predict_views(
        self, views: Sequence[Tensor], data_samples: Sequence[WSLDataSample]
    ) -> List[WSLDataSample]:
        """Predict scores, maps and peaks.

        Args:
            views: Class maps (N, C, h, w) of each view, already flipped
                back; sizes may differ. Peaks are those of their average on
                the grid of the first view.
            data_samples: N samples.

        Returns:
            The samples with what :class:`CAMHead` predicts,
            ``pred_class_maps`` (C, h, w), logits on the grid of the first
            view, and ``pred_peaks``: ``labels``, ``scores`` (P,), ``points``
            (P, 2), x and y in the original image, and ``cells`` (P, 2),
            column and row on the grid of the peaks.
        """
        super().predict_views(views, data_samples)
        for index, sample in enumerate(data_samples):
            self._choose_peaks(sample, [view[index] for view in views])
        return list(data_samples)

    def predict_instances(
        self,
        model: nn.Module,
        inputs: Tensor,
        data_samples: Sequence[WSLDataSample],
    ) -> None:
        """Add ``pred_instances`` to samples that have ``pred_peaks``."""
        self.peak_instances.predict(model, inputs, data_samples)

    def _choose_peaks(
        self,
        sample: WSLDataSample,
        views: Sequence[Tensor],
        limits: Optional[Tensor] = None,
    ) -> None:
        labels = self._kept(sample, self.peak_instances.choice.classes)
        self.peak_instances.choose(sample, views, labels, limits)
