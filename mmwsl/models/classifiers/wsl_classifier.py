"""The model of stage 1."""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseModel
from torch import Tensor

from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample

Output = Union[Tensor, Dict[str, Tensor], List[WSLDataSample]]


@MODELS.register_module()
class WSLClassifier(BaseModel):
    """Backbone, neck and head, learned from image-level labels.

    ::

        train_step: forward(mode='loss')    -> head.loss(feats, samples)
        val_step:   forward(mode='predict') -> head.predict(feats, samples)
        test_step:  forward(mode='test')    -> views by ``test_cfg``
                                            -> head.predict_views(...)
        val_step, test_step: then head.predict_instances(model, inputs,
                             samples), if the head has that, with gradients

    Validation during training sees one view of an image; testing averages
    the views that ``test_cfg`` names.

    Shape shorthand: N images, C classes, (H, W) input size, (h, w) size of
    the class maps.

    Args:
        backbone: Config of the backbone, without pooling and classifier.
        head: Config of the head.
        neck: Config of what lies between them.
        data_preprocessor: Config of the preprocessor, by default
            WSLDataPreprocessor.
        test_cfg: ``scales``, factors of the input size whose class maps are
            averaged (default (1.0,)), and ``flip``, whether every scale is
            also seen mirrored (default False).
        channels_last: Whether weights and images use the channels-last
            memory layout, which is faster for convolutions on most
            hardware and gives the same numbers up to rounding.
        init_cfg: Initialisation of the whole.
    """

    def __init__(
        self,
        backbone: Dict,
        head: Dict,
        neck: Optional[Dict] = None,
        data_preprocessor: Optional[Dict] = None,
        test_cfg: Optional[Dict] = None,
        channels_last: bool = True,
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(
            data_preprocessor=MODELS.build(
                {'type': 'mmwsl.WSLDataPreprocessor', **data_preprocessor}
                if data_preprocessor
                else {'type': 'mmwsl.WSLDataPreprocessor'}
            ),
            init_cfg=init_cfg,
        )
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck) if neck else None
        self.head = MODELS.build(head)
        self.scales, self.flip = _read_test_cfg(test_cfg or {})
        self.memory_format = (
            torch.channels_last if channels_last else torch.contiguous_format
        )
        self.to(memory_format=self.memory_format)

    def extract_feat(self, inputs: Tensor) -> Tuple[Tensor, ...]:
        """Return the features of images (N, 3, H, W) as a tuple."""
        inputs = inputs.contiguous(memory_format=self.memory_format)
        feats = self.backbone(inputs)
        if self.neck is not None:
            feats = self.neck(feats)
        return tuple(feats) if isinstance(feats, (tuple, list)) else (feats,)

    def class_maps(self, inputs: Tensor) -> Tensor:
        """Return the class maps (N, C, h, w) of images (N, 3, H, W)."""
        return self.head(self.extract_feat(inputs))

    def forward(
        self,
        inputs: Tensor,
        data_samples: Optional[List[WSLDataSample]] = None,
        mode: str = 'tensor',
    ) -> Output:
        """Run the model.

        Args:
            inputs: Normalised images (N, 3, H, W).
            data_samples: N samples, not needed by 'tensor'.
            mode: 'tensor' returns class maps, 'loss' a dict of losses,
                'predict' samples with predictions from one view, 'test' the
                same from all views of ``test_cfg``.

        Returns:
            As ``mode`` says.
        """
        if mode == 'tensor':
            return self.class_maps(inputs)
        if data_samples is None:
            raise ValueError(f"mode '{mode}' needs data_samples.")
        if mode == 'loss':
            return self.head.loss(self.extract_feat(inputs), data_samples)
        for sample in data_samples:
            sample.set_metainfo(
                dict(batch_input_shape=tuple(inputs.shape[-2:]))
            )
        if mode == 'predict':
            feats = self.extract_feat(inputs)
            samples = self.head.predict(feats, data_samples)
            return self._predict_instances(inputs, samples)
        if mode == 'test':
            views = self._views(inputs)
            samples = self.head.predict_views(views, data_samples)
            # The head's peaks lie on the grid of the first view.
            return self._predict_instances(inputs, samples, self.scales[0])
        raise ValueError(
            "mode must be 'tensor', 'loss', 'predict' or 'test', got "
            f"'{mode}'."
        )

    def test_step(
        self, data: Union[Dict[str, Any], Sequence[Any]]
    ) -> List[WSLDataSample]:
        """Predict one batch with the views of ``test_cfg``."""
        return self._run_forward(
            self.data_preprocessor(data, False), mode='test'
        )

    def parse_losses(
        self, losses: Dict[str, Tensor]
    ) -> Tuple[Tensor, Dict[str, Tensor]]:
        """Sum the losses, and log their means over all processes.

        mmengine logs those of the first process alone.
        """
        loss, log_vars = super().parse_losses(losses)
        if get_world_size() > 1:
            values = torch.stack(
                [v.detach().float() for v in log_vars.values()]
            )
            all_reduce(values, op='mean')
            log_vars = type(log_vars)(zip(log_vars, values))
        return loss, log_vars

    def _predict_instances(
        self,
        inputs: Tensor,
        samples: List[WSLDataSample],
        scale: float = 1.0,
    ) -> List[WSLDataSample]:
        """Let heads that follow gradients back to the image do so.

        Validation and testing run without gradients, and the features that
        they have computed cannot be given any afterwards: such a head gets
        the whole model, to run it again from the images on.
        """
        if not hasattr(self.head, 'predict_instances'):
            return samples
        with torch.inference_mode(False), torch.enable_grad():
            if inputs.is_inference():
                inputs = inputs.clone()
            view = _scaled(inputs, scale)
            self.head.predict_instances(self, view, samples)
        return samples

    def _view(self, inputs: Tensor) -> Tensor:
        """Return the maps of one view that the head predicts from."""
        maps_of = getattr(self.head, 'view_maps', self.head)
        return maps_of(self.extract_feat(inputs))

    def _views(self, inputs: Tensor) -> List[Tensor]:
        """Return the maps (N, C, h, w) of every scale and flip."""
        views = []
        for scale in self.scales:
            scaled = _scaled(inputs, scale)
            views.append(self._view(scaled))
            if self.flip:
                views.append(self._view(scaled.flip(-1)).flip(-1))
        return views


def _scaled(inputs: Tensor, scale: float) -> Tensor:
    """Resize images (N, 3, h, w)."""
    if scale == 1:
        return inputs
    return F.interpolate(
        inputs,
        scale_factor=scale,
        mode='bilinear',
        align_corners=False,
        antialias=scale < 1,
    )


def _read_test_cfg(test_cfg: Dict) -> Tuple[Tuple[float, ...], bool]:
    """Check the views that a config asks for."""
    unknown = set(test_cfg) - {'scales', 'flip'}
    if unknown:
        raise ValueError(
            f'test_cfg has unknown keys {sorted(unknown)}; it takes '
            "'scales' and 'flip'."
        )
    scales = tuple(float(scale) for scale in test_cfg.get('scales', (1.0,)))
    if not scales or min(scales) <= 0:
        raise ValueError(
            f'test_cfg.scales must be positive numbers, got {scales}.'
        )
    return scales, bool(test_cfg.get('flip', False))
