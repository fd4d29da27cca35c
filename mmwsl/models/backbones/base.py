"""What all backbones share: weights by file, parts that stay as they are."""

import difflib
from typing import Any, Dict, FrozenSet, List, Sequence, Union

from mmengine.model import BaseModule, PretrainedInit
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmwsl.models.backbones.weights import KeyMap, StateDict, load_weights

# How torchvision names what is no CNN.
NOT_CNN = ('vit_', 'swin_', 'maxvit_')
InitCfg = Union[Dict[str, Any], List[Dict[str, Any]], None]


class LoadedBackbone(BaseModule):
    """A network of a library, under the library's names.

    Attributes:
        net (torch.nn.Module): the layers in use, and no others.

    Args:
        norm_eval: keep all BatchNorm layers in eval mode.
        key_map: how weight files name the parameters, see
            :func:`~mmwsl.models.backbones.weights.load_weights`.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` with a file, a
            URL, ``torchvision://NAME`` or ``package://NAME/FILE``, and other
            initializers of mmengine. None keeps the source network's own
            random initialisation.
    """

    net: Any
    # Parameters that a weight file may hold beyond those in use.
    _source_keys: FrozenSet[str] = frozenset()
    # Modules and parameters that do not learn.
    _frozen: Sequence[str] = ()

    def __init__(
        self, norm_eval: bool, key_map: KeyMap, init_cfg: InitCfg
    ) -> None:
        cfgs = [init_cfg] if isinstance(init_cfg, dict) else init_cfg or []
        # mmengine's own loader skips parameters that do not fit.
        pretrained = [
            cfg
            for cfg in cfgs
            if cfg['type'] in ('Pretrained', PretrainedInit)
        ]
        super().__init__([cfg for cfg in cfgs if cfg not in pretrained])
        self.pretrained = pretrained
        self.key_map = key_map
        self.norm_eval = norm_eval

    def train(self, mode: bool = True) -> 'LoadedBackbone':
        """Sets the mode; what is frozen stays in eval mode."""
        super().train(mode)
        self._freeze()
        return self

    def init_weights(self) -> None:
        """Draws or loads the weights that ``init_cfg`` asks for.

        Raises:
            ValueError: if the weight file does not fit the network.
        """
        is_first = not self.is_init
        super().init_weights()
        for cfg in self.pretrained if is_first else ():
            load_weights(
                self.net,
                cfg['checkpoint'],
                self._source_keys,
                key_map=self.key_map,
                prefix=cfg.get('prefix'),
                convert=self._convert,
            )

    def _convert(self, state: StateDict) -> StateDict:
        """Turn a file's forms that the library knows into its own."""
        return state

    def _freeze(self) -> None:
        for name in self._frozen:
            parent, _, leaf = name.rpartition('.')
            part = getattr(self.net.get_submodule(parent), leaf)
            part.requires_grad_(False)
            if isinstance(part, nn.Module):
                part.eval()
        for module in self.net.modules() if self.norm_eval else ():
            if isinstance(module, _BatchNorm):
                module.eval()


def check_stages(
    strides: Sequence[int], out_indices: Sequence[int], frozen_stages: int
) -> None:
    """Raises ValueError unless a network of stages of these strides has all.

    Args:
        strides: of each stage.
        out_indices: stages to return.
        frozen_stages: number of stages to freeze, 0 for the stem alone.
    """
    for index in out_indices:
        if not -len(strides) <= index < len(strides):
            raise ValueError(
                f'out_indices: no stage {index}, the network has '
                f'{len(strides)} stages of strides {strides}'
            )
    if not out_indices:
        raise ValueError('out_indices is empty')
    if not -1 <= frozen_stages <= len(strides):
        raise ValueError(
            f'frozen_stages must be in [-1, {len(strides)}], '
            f'got {frozen_stages}'
        )


def make_timm(arch: str, **arch_cfg: Any) -> nn.Module:
    """Builds a network of timm with its classifier."""
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            f"TimmBackbone '{arch}' needs timm: pip install timm",
            name='timm',
        ) from error
    # What follows a dot names weights, not the network.
    check_arch(arch.split('.')[0], timm.list_models(), 'timm')
    return timm.create_model(arch, pretrained=False, **arch_cfg)


def check_arch(arch: str, known: Sequence[str], library: str) -> None:
    """Raises ValueError unless a library knows the name of a network."""
    if arch not in known:
        close = difflib.get_close_matches(arch, known) or ['resnet50']
        why = 'not a CNN' if arch.startswith(NOT_CNN) else 'unknown'
        raise ValueError(
            f"arch '{arch}' is {why}; {library} has for example "
            + ', '.join(close)
        )
