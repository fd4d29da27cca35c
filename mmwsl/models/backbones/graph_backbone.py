"""What the backbones of torchvision and timm have in common."""

import io
from contextlib import redirect_stderr
from typing import Any, Dict, FrozenSet, List, Optional, Sequence, Tuple, Union

import torch
from mmengine.model import BaseModule, PretrainedInit, initialize
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmwsl.models.backbones.dilation import check_output_stride, replace_stride
from mmwsl.models.backbones.graph import (
    Stage,
    call_blocks,
    find_stages,
    nominal_strides,
    split_targets,
    trace,
    truncate,
)
from mmwsl.models.backbones.insertion import insert_layers
from mmwsl.models.backbones.weights import KeyMap, load_weights

# Vision transformers, and networks of parallel branches.
NOT_STAGES = (
    'the network is not a CNN of one stage after the other; mmdet and mmseg '
    'have backbones of other kinds (mmdet.SwinTransformer, mmdet.HRNet, '
    'mmseg.VisionTransformer)'
)
InitCfg = Union[Dict[str, Any], List[Dict[str, Any]], None]


class GraphBackbone(BaseModule):
    """Features of a classification CNN at chosen stages and stride.

    Attributes:
        net (torch.fx.GraphModule): the layers in use, and no others, under
            the names that they have in the source network. Forward
            hooks on its parts, such as ``net.layer3``, see their results.
        out_channels (tuple[int]): channels of each output.
        out_strides (tuple[int]): image pixels per cell of each output.

    Args:
        model: the source network with a (N, 3, H, W) image as only input.
        output_stride: strides beyond it become dilations; a power of two.
            None leaves the network as it is.
        out_indices: stages to return. Stages 0, 1, 2, 3 end at strides 4, 8,
            16, 32 of the source network; -1 is the last one.
        frozen_stages: -1 trains all; 0 freezes the stem; k freezes the stem
            and the first k stages. What is frozen stays in eval mode.
        norm_eval: keep all BatchNorm layers in eval mode.
        insert: layers put behind named parts of the network, see
            ``insert_layers``.
        entry: the method of ``model`` that computes the features.
        key_map: how weight files name the parameters, see ``load_weights``.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` with a file, a
            URL, ``torchvision://NAME`` or ``package://NAME/FILE``, and other
            initializers of mmengine. None keeps the source network's own
            random initialisation.

    Raises:
        ValueError: if a stage or the stride does not exist in the network.
    """

    _is_init: bool

    def __init__(
        self,
        model: nn.Module,
        output_stride: Optional[int] = None,
        out_indices: Sequence[int] = (-1,),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        insert: Sequence[Dict[str, Any]] = (),
        entry: str = 'forward',
        key_map: KeyMap = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(init_cfg)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.key_map = key_map
        # Parameters that a weight file may hold beyond those in use.
        self._source_keys: FrozenSet[str] = frozenset(model.state_dict())
        self.net, self.out_strides, self._parts = _build_net(
            model, entry, output_stride, out_indices, insert
        )
        self.out_channels = _count_channels(self.net, self.out_strides)
        if not -1 <= frozen_stages < len(self._parts):
            raise ValueError(
                f'frozen_stages must be in [-1, {len(self._parts) - 1}], '
                f'got {frozen_stages}'
            )
        self._freeze()

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Maps (N, 3, H, W) images to one (N, C, h, w) map per output."""
        return self.net(x)

    def train(self, mode: bool = True) -> 'GraphBackbone':
        """Sets the mode; what is frozen stays in eval mode."""
        super().train(mode)
        self._freeze()
        return self

    def init_weights(self) -> None:
        """Draws or loads the weights that ``init_cfg`` asks for.

        Raises:
            ValueError: if the weight file does not fit the network.
        """
        cfgs = self.init_cfg or []
        cfgs = [cfgs] if isinstance(cfgs, dict) else cfgs
        pretrained = [
            cfg
            for cfg in cfgs
            if cfg['type'] in ('Pretrained', PretrainedInit)
        ]
        if self._is_init or not pretrained:
            super().init_weights()
            return
        # mmengine's own loader skips parameters that do not fit.
        initialize(self, [cfg for cfg in cfgs if cfg not in pretrained])
        for cfg in pretrained:
            load_weights(
                self.net,
                cfg['checkpoint'],
                self._source_keys,
                key_map=self.key_map,
                prefix=cfg.get('prefix'),
            )
        self._is_init = True

    def _freeze(self) -> None:
        for name in sum(self._parts[: self.frozen_stages + 1], []):
            parent, _, leaf = name.rpartition('.')
            part = getattr(self.net.get_submodule(parent), leaf)
            part.requires_grad_(False)
            if isinstance(part, nn.Module):
                part.eval()
        if self.norm_eval:
            for module in self.net.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()


def _build_net(
    model: nn.Module,
    entry: str,
    output_stride: Optional[int],
    out_indices: Sequence[int],
    insert: Sequence[Dict[str, Any]],
) -> Tuple[fx.GraphModule, Tuple[int, ...], List[List[str]]]:
    """The network in use, its strides, and what belongs to stem and stages."""
    graph = trace(model, entry)
    strides = nominal_strides(model, graph)
    stem, *stages = find_stages(model, graph, strides)
    if output_stride is not None:
        check_output_stride(output_stride, stages[-1].stride)
    outputs = _select(stages, out_indices)
    truncate(model, graph, [stage.node for stage in outputs])
    if output_stride is not None:
        replace_stride(model, graph, strides, output_stride)
    insert_layers(model, graph, insert)
    parts = split_targets(graph, [stage.node for stage in (stem, *stages)])
    net = fx.GraphModule(model, graph, type(model).__name__)
    call_blocks(net)
    real = [min(s.stride, output_stride or s.stride) for s in outputs]
    return net, tuple(real), parts


def _select(stages: List[Stage], out_indices: Sequence[int]) -> List[Stage]:
    count = len(stages)
    strides = [stage.stride for stage in stages]
    for index in out_indices:
        if not -count <= index < count:
            raise ValueError(
                f'out_indices: no stage {index}, the network has {count} '
                f'stages of strides {strides}'
            )
    if not out_indices:
        raise ValueError('out_indices is empty')
    return [stages[index] for index in out_indices]


def _count_channels(
    net: fx.GraphModule, strides: Sequence[int]
) -> Tuple[int, ...]:
    """Channels of the outputs, by a run without data (meta tensors).

    Raises:
        ValueError: if the outputs are not maps of about these strides.
    """
    state = {
        key: torch.empty_like(value, device='meta')
        for key, value in net.state_dict().items()
    }
    # As large as Inception needs it, not square so that a transposed or
    # channels-last layout shows.
    image = torch.empty(1, 3, 128, 192, device='meta')
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        # torch.fx prints a traceback of its own.
        with torch.no_grad(), redirect_stderr(io.StringIO()):
            outputs = torch.func.functional_call(net, state, (image,))
    except RuntimeError as error:
        why = str(error).split('\n')[0]
        raise ValueError(f'{NOT_STAGES}: {why}') from error
    for module, mode in modes.items():
        module.training = mode
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
