"""Any CNN of torchvision as a backbone."""

import difflib
from typing import Any, Dict, List, Optional, Sequence

import torchvision
from torch import nn

from mmwsl.models.backbones.graph_backbone import GraphBackbone, InitCfg
from mmwsl.registry import MODELS

NOT_CNN = ('vit_', 'swin_', 'maxvit_')
# Without auxiliary classifiers and without a hidden input normalisation.
BUILD_CFG: Dict[str, Dict[str, Any]] = {
    'inception_v3': dict(
        aux_logits=False, transform_input=False, init_weights=True
    ),
    'googlenet': dict(
        aux_logits=False, transform_input=False, init_weights=True
    ),
}


@MODELS.register_module()
class TorchvisionBackbone(GraphBackbone):
    """A CNN of torchvision without its pooling and classifier.

    Weight files use torchvision's names (``conv1.weight``); the parameters
    here are ``net.conv1.weight`` and so on. Attributes: see
    :class:`GraphBackbone`.

    Note:
        The ImageNet weights of ``inception_v3`` and ``googlenet`` expect
        images scaled to [-1, 1] (mean and std 127.5), since torchvision
        normalises again inside these networks and this class does not.

    Args:
        arch: torchvision's name of the network, for example ``resnet50``.
        output_stride: largest stride of the maps, 8, 16 or 32 as a rule.
            Beyond it strides become dilations. None keeps the network.
        out_indices: stages to return; 0, 1, 2, 3 have strides 4, 8, 16, 32
            in the original network, -1 is the last one.
        frozen_stages: -1 trains all, 0 freezes the stem, k freezes the stem
            and the first k stages.
        norm_eval: keep all BatchNorm layers in eval mode.
        insert: layers put behind named parts of the network, see
            ``insert_layers``.
        arch_cfg: more arguments of torchvision's builder.
        init_cfg: ``dict(type='Pretrained', checkpoint='torchvision://NAME')``
            for ImageNet weights, or a file.

    Raises:
        ValueError: if ``arch`` is unknown or not a CNN, or if an index or
            the stride does not exist in it.

    Examples:
        >>> backbone = TorchvisionBackbone('resnet18', output_stride=16)
        >>> backbone.out_channels, backbone.out_strides
        ((512,), (16,))
    """

    def __init__(
        self,
        arch: str,
        output_stride: Optional[int] = None,
        out_indices: Sequence[int] = (-1,),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        insert: Sequence[Dict[str, Any]] = (),
        arch_cfg: Optional[Dict[str, Any]] = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(
            _build(arch, arch_cfg or {}),
            output_stride=output_stride,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            insert=insert,
            init_cfg=init_cfg,
        )
        self.arch = arch


def list_archs() -> List[str]:
    """Names of torchvision's convolutional classification networks."""
    names = torchvision.models.list_models(module=torchvision.models)
    return [name for name in names if not name.startswith(NOT_CNN)]


def _build(arch: str, arch_cfg: Dict[str, Any]) -> nn.Module:
    known = list_archs()
    if arch not in known:
        close = difflib.get_close_matches(arch, known) or ['resnet50']
        why = 'not a CNN' if arch.startswith(NOT_CNN) else 'unknown'
        raise ValueError(
            f"arch '{arch}' is {why}; torchvision has for example "
            + ', '.join(close)
        )
    cfg = {**BUILD_CFG.get(arch, {}), **arch_cfg}
    return torchvision.models.get_model(arch, weights=None, **cfg)
