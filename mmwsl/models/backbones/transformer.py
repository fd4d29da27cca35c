"""Transformers of timm, whose grids of tokens are maps.

Shape shorthand: N images of (H, W) pixels, maps of K channels and (h, w)
cells, T tokens.
"""

import inspect
import sys
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmwsl.models.backbones.base import (
    InitCfg,
    LoadedBackbone,
    check_stages,
    make_timm,
)
from mmwsl.models.backbones.dilation import check_output_stride
from mmwsl.models.backbones.weights import KeyMap, StateDict
from mmwsl.models.layers.token_attention import (
    attention_rollout,
    class_attention,
)
from mmwsl.registry import MODELS

# Modules of timm, and what frees their networks from one size of images.
FAMILIES: Dict[str, Dict[str, Any]] = {
    'vision_transformer': dict(dynamic_img_size=True),
    'deit': dict(dynamic_img_size=True),
    'eva': dict(dynamic_img_size=True),
    'swin_transformer': dict(strict_img_size=False),
    'swin_transformer_v2': dict(strict_img_size=False),
}
ATTENTION = {'class': class_attention, 'rollout': attention_rollout}


def transformer_family(arch: str) -> Optional[str]:
    """Which of ``FAMILIES`` a network of timm is of; None for all others."""
    try:
        import timm
    except ImportError:
        return None
    name = arch.split('.')[0]
    if not timm.is_model(name):
        return None
    family = timm.model_entrypoint(name).__module__.rpartition('.')[2]
    return family if family in FAMILIES else None


@MODELS.register_module()
class TransformerBackbone(LoadedBackbone):
    """A vision transformer of timm (an optional requirement).

    That is ViT and what has its form (DeiT, CLIP's image tower, DINOv2,
    DINOv3, EVA), Swin and Swin v2. A stage is a block of ViT, and a stage of
    Swin. Class tokens and registers are no cells and are left out; the last
    norm is applied to the outputs that have its width.

    Images may have any size. They are stretched to the next multiple of the
    largest stride, so that the cells cover the image exactly and no cell
    sees padding, and timm interpolates position embeddings.

    Attributes:
        net (torch.nn.Module): timm's network, under timm's names.
        out_channels (tuple[int]): channels of each output.
        out_strides (tuple[int]): image pixels per cell of each output.

    Args:
        arch: timm's name of the network.
        output_stride: largest stride of the maps. Where a stage of Swin goes
            beyond it, it runs on the four grids of cells that its stride
            chooses from, as dilation does for CNNs.
        out_indices: stages to return, -1 is the last one.
        frozen_stages: -1 trains all; 0 freezes the embeddings; k freezes
            these and the first k stages.
        norm_eval: as for CNNs; transformers have no BatchNorm.
        attention: 'class' or 'rollout' puts a map (N, 1, h, w) of what the
            class token attends to, with the mean 1, before the outputs, in
            eval mode alone: see
            :mod:`mmwsl.models.layers.token_attention`.
        arch_cfg: more arguments of ``timm.create_model``.
        key_map: see :class:`LoadedBackbone`. Before it, files are read as
            timm does: the published ones of DeiT, DINOv2, Swin, and open_clip
            have other names, and embeddings of positions other sizes.
        init_cfg: see :class:`LoadedBackbone`.

    Raises:
        ImportError: if timm is not installed.
        ValueError: if a stage or the stride does not exist in the network,
            or if it is none of these transformers.

    Examples:
        >>> backbone = TransformerBackbone('vit_tiny_patch16_224')
        >>> backbone.out_channels, backbone.out_strides
        ((192,), (16,))
    """

    def __init__(
        self,
        arch: str,
        output_stride: Optional[int] = None,
        out_indices: Sequence[int] = (-1,),
        frozen_stages: int = -1,
        norm_eval: bool = False,
        attention: Optional[str] = None,
        arch_cfg: Optional[Dict[str, Any]] = None,
        key_map: KeyMap = None,
        init_cfg: InitCfg = None,
    ) -> None:
        super().__init__(norm_eval, key_map, init_cfg)
        self.arch = arch
        self.arch_cfg = dict(arch_cfg or {})
        net: Any = self.make(arch, **self.arch_cfg)
        self._source_keys = frozenset(net.state_dict())
        stages = net.feature_info
        strides = [stage['reduction'] for stage in stages]
        check_stages(strides, out_indices, frozen_stages)
        if output_stride is not None:
            # Patches of 14 pixels are finer than 16.
            check_output_stride(output_stride, output_stride)
        own = [range(len(stages))[index] for index in out_indices]
        self._taken = sorted(set(own))
        last = self._taken[-1]
        # timm's norm is for the last stage, which is wider in Swin.
        fits = stages[last]['num_chs'] == net.num_features
        net.prune_intermediate_layers(self._taken, prune_norm=not fits)
        self.net = net
        self._order = [self._taken.index(index) for index in own]
        self._multiple = strides[last]
        beyond = [
            index
            for index, stride in enumerate(strides[: last + 1])
            if stride > (output_stride or stride)
        ]
        if beyond[:1] == [0]:
            raise ValueError(
                f'output_stride {output_stride}: {arch} has patches of '
                f'{strides[0]} pixels, and no finer maps'
            )
        for index in beyond:
            stage = net.get_submodule(stages[index]['module'])
            stage.register_forward_pre_hook(_shift)
        self._shifts = [sum(b <= index for b in beyond) for index in own]
        self.out_channels = tuple(stages[i]['num_chs'] for i in own)
        self.out_strides = tuple(
            strides[i] >> times for i, times in zip(own, self._shifts)
        )
        if frozen_stages >= 0:
            frozen = [stage['module'] for stage in stages[:frozen_stages]]
            self._frozen = [*_stem(net, stages), *frozen[: last + 1]]
        self.attention = attention
        self._weights: List[Tensor] = []
        self._attending: List[Any] = []
        if attention is not None:
            self._listen(attention)
        self.train()

    @staticmethod
    def make(arch: str, **arch_cfg: Any) -> nn.Module:
        """Builds a network of timm that takes images of any size."""
        family = transformer_family(arch)
        if family is None:
            # It says what is wrong with a name.
            make_timm(arch)
            raise ValueError(
                f'{arch} is not a transformer of timm that is known here '
                f'({", ".join(FAMILIES)}); for CNNs there is TimmBackbone'
            )
        return make_timm(arch, **{**FAMILIES[family], **arch_cfg})

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Maps (N, 3, H, W) images to one (N, K, h, w) map per output."""
        size = self._whole(x.shape[2:])
        if size != tuple(x.shape[2:]):
            x = F.interpolate(
                x, size=size, mode='bilinear', align_corners=False
            )
        self._weights.clear()
        found = self.net.forward_intermediates(
            x, indices=self._taken, norm=True, intermediates_only=True
        )
        outputs = [
            _interleave(found[index], times)
            for index, times in zip(self._order, self._shifts)
        ]
        if self._weights:
            outputs.insert(0, self._attention_map(found[-1]))
        return tuple(outputs)

    def train(self, mode: bool = True) -> 'TransformerBackbone':
        """Sets the mode; attention is looked at in eval mode alone."""
        super().train(mode)
        for layer in self._attending:
            # A fused attention never computes the weights.
            layer.fused_attn = mode
        return self

    def fix_size(self, size: Sequence[int]) -> None:
        """Interpolate position embeddings once, for images of one size.

        Formats without that interpolation, such as ONNX, need it.
        """
        if getattr(self.net, 'dynamic_img_size', False):
            self.net.set_input_size(img_size=self._whole(size))
            if getattr(self.net, 'rope', None) is None:
                self.net.dynamic_img_size = False
                self.net.patch_embed.flatten = True

    def _whole(self, size: Sequence[int]) -> Tuple[int, ...]:
        """Return the next multiples of the largest stride."""
        return tuple(
            max(-(-int(edge) // self._multiple), 1) * self._multiple
            for edge in size
        )

    def _listen(self, attention: str) -> None:
        """Keep the weights of all layers with attention."""
        if attention not in ATTENTION:
            raise ValueError(
                f'attention must be one of {", ".join(ATTENTION)}, got '
                f"'{attention}'"
            )
        if getattr(self.net, 'cls_token', None) is None:
            raise ValueError(
                f'attention: {self.arch} has no class token to ask for it'
            )
        for layer in self.net.blocks.modules():
            if hasattr(layer, 'fused_attn'):
                self._attending.append(layer)
                # The weights pass through this dropout, and nothing else.
                layer.attn_drop.register_forward_hook(self._keep)

    def _keep(self, _: nn.Module, inputs: Tuple[Tensor], __: Tensor) -> None:
        self._weights.append(inputs[0].mean(dim=1))

    def _attention_map(self, like: Tensor) -> Tensor:
        """Return the attention of the class token (N, 1, h, w)."""
        row = ATTENTION[self.attention or 'class'](self._weights)
        self._weights.clear()
        row = row[:, self.net.num_prefix_tokens :]
        row = row / row.mean(dim=1, keepdim=True)
        return row.reshape(len(row), 1, *like.shape[2:])

    def _convert(self, state: StateDict) -> StateDict:
        """Read a file as timm reads those that its networks came from."""
        convert = vars(sys.modules[type(self.net).__module__])[
            'checkpoint_filter_fn'
        ]
        state = dict(state)
        classifier = 'head.fc.weight'
        if not any(key.startswith('layers.0.downsample') for key in state):
            # Without it timm renumbers stages, as Swin's authors had them.
            state.setdefault(classifier, torch.zeros(0))
        options = inspect.signature(convert).parameters
        known = {'adapt_layer_scale': True}
        kwargs = {k: v for k, v in known.items() if k in options}
        # Whole, since files hold layers that may be out of use here.
        whole = self.make(self.arch, **self.arch_cfg)
        converted = convert(state, whole, **kwargs)
        converted.pop(classifier, None)
        return converted


def _stem(net: nn.Module, stages: Sequence[Dict[str, Any]]) -> List[str]:
    """Name the parameters and modules that come before the first stage."""
    names = [name for name, _ in net.named_parameters(recurse=False)]
    container = stages[0]['module'].split('.')[0]
    for name, _ in net.named_children():
        if name == container:
            break
        names.append(name)
    return names


def _shift(_: nn.Module, inputs: Tuple[Tensor]) -> Tensor:
    """Stack the four grids (4N, h, w, K) that a stride of 2 chooses from."""
    (x,) = inputs
    height, width = x.shape[1:3]
    x = torch.cat([x, x[:, -1:]], dim=1)
    x = torch.cat([x, x[:, :, -1:]], dim=2)
    return torch.cat(
        [
            x[:, row : row + height, column : column + width]
            for row in range(2)
            for column in range(2)
        ]
    )


def _interleave(x: Tensor, times: int) -> Tensor:
    """Join the maps of stacked grids; the latest stack is the outermost.

    A cell then overlaps the next one by half, so that its centre lies half a
    cell too far: the mean with the one before is where it should be.
    """
    for _ in range(times):
        number, channels, height, width = x.shape
        x = x.reshape(2, 2, number // 4, channels, height, width)
        x = x.permute(2, 3, 4, 0, 5, 1)
        x = x.reshape(number // 4, channels, 2 * height, 2 * width)
        x = F.avg_pool2d(F.pad(x, (1, 0, 1, 0), mode='replicate'), 2, stride=1)
    return x
