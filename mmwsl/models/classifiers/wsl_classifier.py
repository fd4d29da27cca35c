"""The model of stage 1."""

import warnings
from types import SimpleNamespace
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmwsl.models.checks import (
    check_channels,
    check_class_weights,
    check_normalisation,
    check_peaks,
)
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample

Output = Union[Tensor, Dict[str, Tensor], List[WSLDataSample]]


@MODELS.register_module()
class WSLClassifier(BaseModel):
    """Backbone, neck and head, learned from image-level labels.

    ::

        train_step: forward(mode='loss')    -> head.loss(feats, samples)
                                            -> auxiliary[i].loss(...)
        val_step:   forward(mode='predict') -> head.predict(feats, samples)
        test_step:  forward(mode='test')    -> views by ``test_cfg``
                                            -> head.predict_views(...)
        val_step, test_step: then head.predict_instances(model, inputs,
                             samples), if head.instances, with gradients

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
        auxiliary: Configs of losses beside the head's, such as DALLoss:
            modules with ``loss(feats, data_samples)``, which returns losses
            by name, and ``num_classes``, which must be the head's.
        channels_last: Whether weights and images use the channels-last
            memory layout, which is faster for convolutions on most
            hardware and gives the same numbers up to rounding.
        init_cfg: Initialisation of the whole.

    Raises:
        ValueError: If an auxiliary loss has another number of classes than
            the head, or if the head follows peaks through attention.
    """

    def __init__(
        self,
        backbone: Dict,
        head: Dict,
        neck: Optional[Dict] = None,
        data_preprocessor: Optional[Dict] = None,
        test_cfg: Optional[Dict] = None,
        auxiliary: Sequence[Dict] = (),
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
        check_normalisation(backbone, data_preprocessor)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck) if neck else None
        head, auxiliary = _read_dal_head(head, auxiliary)
        self.head = MODELS.build(head)
        # Heads inside heads take other features than the config says.
        outer = SimpleNamespace(**head)
        check_channels(outer, 'head', self.neck, self.backbone)
        check_peaks(self.head, self.backbone)
        self.auxiliary: Any = nn.ModuleList(map(MODELS.build, auxiliary))
        for index, part in enumerate(self.auxiliary):
            if part.num_classes != self.head.num_classes:
                raise ValueError(
                    f'auxiliary[{index}] ({type(part).__name__}) has '
                    f'num_classes={part.num_classes}, but the head has '
                    f'num_classes={self.head.num_classes}.'
                )
        check_class_weights(self)
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

    def probabilities(
        self, inputs: Tensor, img_shape: Tuple[int, int]
    ) -> Tensor:
        """Return class probabilities (N, C) of images (N, 3, H, W).

        Args:
            inputs: Normalised images, perhaps padded at the bottom and right.
            img_shape: Their size without padding.
        """
        size = (inputs.shape[2], inputs.shape[3])
        found: Tensor = self.head.probabilities(
            self.class_maps(inputs), img_shape, size
        )
        return found

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
        """
        if mode == 'tensor':
            return self.class_maps(inputs)
        if data_samples is None:
            raise ValueError(f"mode '{mode}' needs data_samples.")
        if mode == 'loss':
            return self._losses(inputs, data_samples)
        for sample in data_samples:
            sample.set_metainfo(
                dict(batch_input_shape=tuple(inputs.shape[-2:]))
            )
        if mode == 'predict':
            feats = self.extract_feat(inputs)
            samples = self.head.predict(feats, data_samples)
            return self._predict_instances(inputs, samples)
        if mode == 'test':
            views = self.views(inputs)
            samples = self.head.predict_views(views, data_samples)
            return self._predict_instances(self.first_view(inputs), samples)
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

    def _losses(
        self, inputs: Tensor, data_samples: List[WSLDataSample]
    ) -> Dict[str, Tensor]:
        """Return the losses of the head and the auxiliary ones."""
        feats = self.extract_feat(inputs)
        losses: Dict[str, Tensor] = self.head.loss(feats, data_samples)
        for index, part in enumerate(self.auxiliary):
            found = part.loss(feats, data_samples)
            for name in sorted(losses.keys() & found.keys()):
                raise ValueError(
                    f"auxiliary[{index}]: there already is a loss '{name}'."
                )
            losses.update(found)
        return losses

    def _predict_instances(
        self, inputs: Tensor, samples: List[WSLDataSample]
    ) -> List[WSLDataSample]:
        """Let heads that follow gradients back to the image do so.

        Validation and testing run without gradients, and the features that
        they have computed cannot be given any afterwards: such a head gets
        the whole model, to run it again from the images on.
        """
        for sample in samples:
            score = sample.get('pred_score')
            if score is not None and not score.isfinite().all():
                raise ValueError(
                    f'{sample.get("img_path") or sample.get("img_id")}: the '
                    'predicted scores are not finite; the weights or the '
                    'normalisation of images are broken.'
                )
        if not self.head.instances:
            return samples
        with torch.inference_mode(False), torch.enable_grad():
            if inputs.is_inference():
                inputs = inputs.clone()
            self.head.predict_instances(self, inputs, samples)
        return samples

    def first_view(self, inputs: Tensor) -> Tensor:
        """Return images (N, 3, h, w), on whose grid the head's peaks lie."""
        return _scaled(inputs, self.scales[0])

    def views(self, inputs: Tensor) -> List[Tensor]:
        """Return the maps that the head predicts from, of every view.

        Args:
            inputs: Normalised images (N, 3, H, W).
        """
        views = []
        flips = (False, True) if self.flip else (False,)
        for scale in self.scales:
            scaled = _scaled(inputs, scale)
            for flip in flips:
                image = scaled.flip(-1) if flip else scaled
                maps = self.head.view_maps(self.extract_feat(image))
                views.append(maps.flip(-1) if flip else maps)
        return views

    def _load_from_state_dict(
        self, state_dict: Dict[str, Any], prefix: str, *args: Any
    ) -> None:
        """Rename the tensors of checkpoints that had a DALHead."""
        inner = f'{prefix}head.head.'
        if any(key.startswith(inner) for key in state_dict):
            names = ((inner, 'head.'), (f'{prefix}head.dal.', 'auxiliary.0.'))
            for key in list(state_dict):
                for old, new in names:
                    if key.startswith(old):
                        name = f'{prefix}{new}{key[len(old) :]}'
                        state_dict[name] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)


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


def _read_dal_head(
    head: Dict, auxiliary: Sequence[Dict]
) -> Tuple[Dict, Sequence[Dict]]:
    """Turn the DALHead of older configs into its parts, with a warning.

    Its keys ``head`` and ``dal`` are also read where a config changes those
    of a base that has ``auxiliary`` already.
    """
    wrapped = str(head.get('type')).split('.')[-1] == 'DALHead'
    if not wrapped and not {'head', 'dal'} & set(head):
        return head, auxiliary
    warnings.warn(
        'model.head: DALHead, with the keys "head" and "dal", will go in the '
        'next version. Give the inner head as model.head and the loss as '
        "model.auxiliary=[dict(type='DALLoss', ...)].",
        FutureWarning,
        stacklevel=2,
    )
    rest = {k: v for k, v in head.items() if not (wrapped and k == 'type')}
    inner, dal = rest.pop('head', {}), dict(rest.pop('dal', {}))
    if wrapped:
        dal['in_index'] = rest.pop('in_index', -1)
    first, others = dict(*auxiliary[:1]), auxiliary[1:]
    merged = Config(dict(head=rest, dal=first))
    merged.merge_from_dict(dict(head=inner, dal=dal))
    return merged.head, [merged.dal, *others]


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
