"""Class activation maps of classifiers that exist, without training."""

import io
import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights

from mmwsl.datasets.files import read_names
from mmwsl.models.backbones import TorchvisionBackbone
from mmwsl.models.backbones.graph_backbone import timm_kind
from mmwsl.models.backbones.weights import (
    AUXILIARY,
    KeyMap,
    read_state,
    rename,
)
from mmwsl.registry import MODELS
from mmwsl.utils.checkpoints import load_state
from mmwsl.utils.config import load_config
from mmwsl.utils.files import write_whole

TEMPLATE = 'mmwsl::cam/cam_from-classifier.py'
# As a share of the largest logit.
TOLERANCE = 1e-4
Classes = Union[str, Path, Sequence[str], None]


def convert_classifier(
    arch: str,
    weights: Union[str, Path],
    classes: Classes = None,
    multi_label: bool = False,
    output_stride: Optional[int] = None,
    key_map: KeyMap = None,
) -> Tuple[Config, Dict[str, Any]]:
    """Turn a classification CNN into a model of class activation maps.

    Its last linear layer becomes the head's 1x1 convolution, so that the
    mean of a class map is the logit of its class. That is checked on a
    random image, at the network's own stride.

    Args:
        arch: Name of the network in torchvision, or ``timm/NAME``.
        weights: File or URL of its weights, with the classifier: a state
            dict or a checkpoint that holds one as ``state_dict``; also
            ``.safetensors``, and mmpretrain's checkpoints of networks whose
            tensors have the same names or the same order.
        classes: Names of the classes, or a text file with one a line; by
            default ImageNet's, of a network of 1000 classes.
        multi_label: Whether the classifier was trained with a sigmoid for
            each class, not with a softmax.
        output_stride: Largest stride of the maps; by default the network's.
        key_map: How the file names the parameters if not as the network, see
            :func:`mmwsl.models.backbones.weights.load_weights`.

    Returns:
        A config and a checkpoint, as a training would have written them.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the network has another classifier than one linear
            layer after global average pooling, or if weights or classes do
            not fit it.
    """
    library, _, name = arch.rpartition('/')
    if library not in ('', 'torchvision', 'timm'):
        raise ValueError(
            f"arch '{arch}': only networks of torchvision (NAME) and timm "
            '(timm/NAME) are known; of mmpretrain, checkpoints under the name '
            'that these have for the network.'
        )
    kind: Any = timm_kind(name) if library == 'timm' else TorchvisionBackbone
    source = kind.make(name)
    backbone = kind(name)
    last = _linear_layer(source, backbone, arch)
    state = _read(str(weights), source, arch, key_map)
    if f'{last}.weight' not in state:
        raise ValueError(
            f'{weights}: has no {last}.weight, the classifier of {arch}.'
        )
    weight = state[f'{last}.weight']
    number, channels = len(weight), backbone.out_channels[-1]
    names = class_names(classes, number, str(weights))
    source = kind.make(name, num_classes=number)
    load_state(source, state, str(weights), strict=True, same_layout=True)

    cfg = load_config(TEMPLATE)
    mean, std = _normalisation(source, name)
    model_cfg = dict(
        backbone=dict(type=kind.__name__, arch=name),
        data_preprocessor=dict(mean=mean, std=std),
        head=dict(
            num_classes=number, in_channels=channels, multi_label=multi_label
        ),
    )
    cfg.merge_from_dict(dict(model=model_cfg))
    cfg.metainfo = dict(classes=names)
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.metainfo = cfg.metainfo
        if multi_label and split != 'train':
            cfg[f'{split}_evaluator'] = [dict(type='MultiLabelMetric')]
    whole = source.state_dict()
    tensors = {
        f'backbone.net.{key}': whole[key] for key in backbone.net.state_dict()
    }
    bias = state.get(f'{last}.bias', weight.new_zeros(number))
    tensors['head.classifier.weight'] = weight.reshape(number, channels, 1, 1)
    tensors['head.classifier.bias'] = bias
    with DefaultScope.overwrite_default_scope('mmwsl'):
        model = MODELS.build(cfg.model)
    load_state(model, tensors, str(weights), strict=True)
    _compare(source, model, arch)
    cfg.model.backbone.output_stride = output_stride
    meta = dict(dataset_meta=dict(classes=names))
    return cfg, dict(state_dict=tensors, meta=meta)


def check_checkpoint(path: Path) -> None:
    """Raises ValueError unless a path to write to ends in .pth."""
    if path.suffix != '.pth':
        raise ValueError(f'{path}: name a file that ends in .pth')


def save_model(cfg: Config, checkpoint: Dict[str, Any], out: Path) -> Path:
    """Write a checkpoint and, beside it, its config, whose path returns."""
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    write_whole(str(out), buffer.getvalue())
    config = out.with_suffix('.py')
    cfg.dump(config)
    return config


def _linear_layer(source: nn.Module, backbone: Any, arch: str) -> str:
    """Return the name of the only layer behind the features, if linear."""
    used = set(backbone.net.state_dict())
    behind = {
        key.rpartition('.')[0]: source.get_submodule(key.rpartition('.')[0])
        for key in source.state_dict()
        if key not in used
    }
    if len(behind) == 1:
        ((name, layer),) = behind.items()
        is_pointwise = getattr(layer, 'kernel_size', None) == (1, 1)
        if isinstance(layer, nn.Linear) or is_pointwise:
            return name
    layers = [f'{name} ({type(m).__name__})' for name, m in behind.items()]
    norm = any('Norm' in layer for layer in layers)
    raise ValueError(
        f'{arch}: behind its features lie {", ".join(layers) or "no layers"}, '
        'but only one linear layer after global average pooling can become '
        'a 1x1 convolution'
        + norm * '; the norm of a pooled vector is no mean over a map'
        + '.'
    )


def _read(
    weights: str, source: nn.Module, arch: str, key_map: KeyMap
) -> Dict[str, Tensor]:
    """Read weights under the names of a network."""
    state = read_state(weights)
    if any(key.startswith('head.fc.') for key in state) and any(
        key.startswith('backbone.') for key in state
    ):
        state = {
            re.sub(r'^(backbone|head)\.', '', key): value
            for key, value in state.items()
            if key.startswith(('backbone.', 'head.fc.'))
        }
        own = source.state_dict()
        if key_map is None and not state.keys() <= own.keys():
            # mmpretrain has other names, and often builds in the same order.
            kinds, others = (
                [(k.rpartition('.')[2], v.shape[1:]) for k, v in x.items()]
                for x in (own, state)
            )
            if kinds != others:
                raise ValueError(
                    f"{weights}: is mmpretrain's, whose tensors are neither "
                    f'by their names nor in their order those of {arch}.'
                )
            state = dict(zip(own, state.values()))
    state = rename(state, frozenset(source.state_dict()), key_map)
    return {k: v for k, v in state.items() if not k.startswith(AUXILIARY)}


def class_names(classes: Classes, number: int, weights: str) -> List[str]:
    """Return the names of so many classes, by default ImageNet's."""
    if isinstance(classes, (str, Path)):
        names = read_names(str(classes), 'the list of classes')
    elif classes is None and number == 1000:
        known = ResNet18_Weights.IMAGENET1K_V1.meta['categories']
        # Two names stand for two classes each.
        names = [
            name if known.index(name) == index else f'{name} {index}'
            for index, name in enumerate(known)
        ]
    else:
        names = list(classes or ())
    if len(names) != number or len(set(names)) != number:
        raise ValueError(
            f'classes: {len(set(names))} different names, but {weights} has '
            f'{number} classes.'
        )
    return names


def _normalisation(
    source: nn.Module, name: str
) -> Tuple[List[float], List[float]]:
    """Return mean and std of the images that a network takes."""
    known = getattr(source, 'pretrained_cfg', None) or {}
    default = dict(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    if name in ('inception_v3', 'googlenet'):
        # torchvision's own normalise again, which ours do not.
        default = dict(mean=(0.5,) * 3, std=(0.5,) * 3)
    mean, std = (
        [round(255 * value, 3) for value in known.get(key) or default[key]]
        for key in ('mean', 'std')
    )
    return mean, std


def _compare(source: nn.Module, model: Any, arch: str) -> None:
    """Check that pooled class maps are a classifier's logits."""
    shape = (2, 3, 224, 256)
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = source.eval()(image)
        scores = model.eval().head.scores(model.class_maps(image))
    error = float((scores - logits).abs().max())
    if not error <= TOLERANCE * float(logits.abs().max()):
        raise ValueError(
            f'{arch}: the means of its class maps differ from its logits by '
            f'{error:.2g}: its classifier is more than a linear layer after '
            'global average pooling.'
        )
