"""Checkpoints of the authors' programs, as models of mmwsl.

Tables of patterns rename the tensors; docs/peers.md says which networks equal
which. Nothing of those programs is needed, and nothing in a file is executed.
"""

import argparse
import re
from collections import Counter
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from mmwsl.apis.classifiers import (
    Classes,
    check_checkpoint,
    class_names,
    save_model,
)
from mmwsl.apis.command_line import ToolParser
from mmwsl.datasets.voc import VOC_CLASSES
from mmwsl.registry import MODELS
from mmwsl.utils.checkpoints import load_state, read_checkpoint
from mmwsl.utils.config import apply_options, load_config, walk_dicts

State = Dict[str, Tensor]
# How a name begins, and what stands there instead; None leaves the tensor.
Rules = Tuple[Tuple[str, Union[str, Callable[[Any], str], None]], ...]

# What the programs call the tensors in a file, and what goes before them.
_PARTS = {
    'model': '',
    'state_dict': '',
    'state_dict_extractor': '',
    'state_dict_classifier': '',
    'state_dict_domain_classifier': 'domain_classifier.',
}
# A ResNet as a sequence.
_STAGES = {index: f'layer{index - 3}' for index in (4, 5, 6, 7)}
_RESNET = {0: 'conv1', 1: 'bn1', **_STAGES}
_VGG = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_WEIGHTS = (
    'head.classifier.weight',
    'decode_head.decode_head.branches.0.weight',
)


class Plan(NamedTuple):
    """How the tensors of a file become a model.

    Attributes:
        config: Below ``configs``.
        rules: See ``Rules``; the first one that fits a name counts.
        classes: Names by default; () numbers them.
        changes: Of the config.
        optional: Pattern of what the model has and the file may lack.
    """

    config: str
    rules: Rules
    classes: Sequence[str] = VOC_CLASSES
    changes: Dict[str, Any] = {}
    optional: str = '$'


class Converted(NamedTuple):
    """What :func:`convert_peer` returns.

    Attributes:
        cfg: A config that takes the checkpoint.
        checkpoint: As a training of mmengine would have written it.
        names: Where each tensor of the file went.
        left: What of the file is not used.
        added: Tensors that the file lacks.
    """

    cfg: Config
    checkpoint: Dict[str, Any]
    names: Dict[str, str]
    left: List[str]
    added: List[str]


def convert_peer(
    peer: str,
    path: Union[str, Path],
    classes: Classes = None,
    cfg_options: Optional[Dict[str, Any]] = None,
) -> Converted:
    """Turn a checkpoint of the authors' programs into one of mmwsl.

    Args:
        peer: A name in ``PEERS``.
        path: The file.
        classes: Names of the classes, or a text file with one a line, where
            they are not those of the published data.
        cfg_options: Dotted keys and values that override the config, for
            networks that were trained with other sizes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is cut off or of another program, or if tensors
            are missing, unknown or of another shape; names the first.
    """
    path = str(path)
    state, left = _read(path)
    plan = PEERS[peer](state)
    renamed: State = {}
    names: Dict[str, str] = {}
    for key, value in state.items():
        found = _rename(key, plan.rules)
        if found is None:
            left.append(key)
            continue
        if found in renamed:
            raise ValueError(f'{path}: {key} and another tensor are {found}.')
        renamed[found], names[key] = value, found
    strange = [key for key, found in names.items() if key == found]
    if strange:
        raise ValueError(
            f'{path}: {len(strange)} of its tensors are not of a network of '
            f'{peer}, the first is {strange[0]}.'
        )
    cfg = load_config(f'mmwsl::{plan.config}')
    cfg.merge_from_dict(plan.changes)
    cfg = apply_options(cfg, cfg_options)
    meta = _set_classes(cfg, renamed, classes, plan.classes, path)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    # A layer without a bias has one of 0.
    added = {
        key: torch.zeros_like(value) if key.endswith('.bias') else value
        for key, value in model.state_dict().items()
        if key not in renamed and re.match(plan.optional, key)
    }
    load_state(model, {**renamed, **added}, path, strict=True)
    tensors = {
        key: value.contiguous()
        for key, value in model.state_dict().items()
        # Without a classifier the file is a beginning for a training.
        if not (key in added and key.startswith('decode_head.'))
    }
    checkpoint = dict(state_dict=tensors, meta=dict(dataset_meta=meta))
    new = [key for key in model.state_dict() if key not in renamed]
    return Converted(cfg, checkpoint, names, left, new)


def peer_command(peer: str) -> Tuple[ToolParser, Callable[..., int]]:
    """Return the command line and the command of a peer's converter."""
    parser = ToolParser(
        f'Turn a checkpoint of the program of {peer} into one of mmwsl, and '
        'write its config beside it; see docs/peers.md'
    )
    parser.add_argument('file', help='the checkpoint')
    parser.add_argument('out', type=Path, help='checkpoint to write, *.pth')
    parser.option(
        '--classes',
        None,
        'text file with the names of the classes, one a line, where they are '
        'not those of the published data',
    )
    parser.cfg_options()

    @parser.command
    def main(args: argparse.Namespace) -> None:
        """Convert, and say what went where."""
        print(_convert_file(peer, args))

    return parser, main


def _convert_file(peer: str, args: argparse.Namespace) -> str:
    check_checkpoint(args.out)
    found = convert_peer(peer, args.file, args.classes, args.cfg_options)
    config = save_model(found.cfg, found.checkpoint, args.out)
    parts = Counter(
        f'{old.split(".")[0]} -> {new.split(".")[0]}'
        for old, new in found.names.items()
    )
    lines = [f'mapped: {part} ({n} tensors)' for part, n in parts.items()]
    lines.append(f'left: {", ".join(found.left) or "nothing"}')
    if found.added:
        shown = [x for x in found.added if not x.endswith('batches_tracked')]
        counters = len(found.added) - len(shown)
        shown += [f'{counters} num_batches_tracked'] * (counters > 0)
        lines.append(f'not in the file: {", ".join(shown)}')
    lines.append(f'{args.out}: the checkpoint, and {config}, its config')
    return '\n'.join(lines)


def _read(path: str) -> Tuple[State, List[str]]:
    """Return tensors by name, and what else the file holds."""
    content = read_checkpoint(path)
    if not isinstance(content, dict):
        content = {}
    parts = [key for key in _PARTS if isinstance(content.get(key), dict)]
    left = [str(key) for key in content if key not in parts] if parts else []
    state: State = {}
    for part in parts or ['']:
        prefix = _PARTS.get(part, '')
        for key, value in (content[part] if parts else content).items():
            name = re.sub(r'^(module\.)+', '', str(key))
            state[prefix + name] = value
    if not state or not all(isinstance(x, Tensor) for x in state.values()):
        raise ValueError(f'{path}: the file holds no tensors by name.')
    return state, left


def _rename(key: str, rules: Rules) -> Optional[str]:
    """Return the name of a tensor, None if it is left."""
    for pattern, new in rules:
        match = re.match(pattern, key)
        if match and new is None:
            return None
        if match:
            start = new(match) if callable(new) else match.expand(str(new))
            return start + key[match.end() :]
    return key


def _set_classes(
    cfg: Config,
    tensors: State,
    classes: Classes,
    default: Sequence[str],
    path: str,
) -> Dict[str, Any]:
    """Give a config the classes of a classifier; returns its meta data."""
    segments = 'decode_head' in cfg.model
    weight = next((tensors[key] for key in _WEIGHTS if key in tensors), None)
    number = len(default) + segments if weight is None else len(weight)
    if weight is not None and weight.ndim == 2:
        # A linear layer is a convolution of 1 x 1.
        tensors['head.classifier.weight'] = weight[:, :, None, None]
    for node in walk_dicts(dict(cfg.items())):
        if node.get('num_classes') is not None:
            node['num_classes'] = number
    number -= segments
    default = default or [str(index) for index in range(number)]
    names = class_names(classes or default, number, path)
    if classes is not None and not segments:
        cfg.metainfo = dict(classes=names)
        for split in ('train', 'val', 'test'):
            cfg[f'{split}_dataloader'].dataset.metainfo = cfg.metainfo
    return dict(classes=['background', *names] if segments else names)


def _prm(_: State) -> Plan:
    rules = (
        *_features(r'(0\.)?'),
        (r'(0\.)?classifier\.0', 'head.classifier'),
    )
    return Plan('prm/prm_r50_voc12-448.py', rules)


def _countseg(state: State) -> Plan:
    net, branch = r'(0\.)?(backbond\.)?', r'addedmodule\.branch'
    rules: Rules = (
        *_features(net),
        (net + r'classifier\.0', 'head.shared'),
        (branch + r'1\.0', 'head.class_norm'),
        (branch + r'1\.2', 'head.classifier'),
        (branch + r'2\.0', 'head.density_norm'),
        (branch + r'2\.2', 'head.density'),
    )
    names: Sequence[str] = VOC_CLASSES
    config = 'lc/lc_r50_voc07-448_countseg.py'
    if len(state.get('addedmodule.branch1.2.weight', ())) == 80:
        config = 'lc/lc_r50_coco14_countseg.py'
        # torchvision numbers them with gaps.
        known = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta['categories']
        names = [name for name in known if name[0] not in '_N']
    return Plan(config, rules, names, optional=r'head\.\w+\.bias')


def _features(prefix: str) -> Rules:
    """Rename the layers of a ResNet that are a sequence."""
    return tuple(
        (rf'{prefix}features\.{index}\.', f'backbone.net.{name}.')
        for index, name in _RESNET.items()
    )


def _nsrom(state: State) -> Plan:
    if any(re.match(r'(base\.)?layer1\.conv1\.conv', key) for key in state):
        return _deeplab(state)
    integral = 'extra_convs_3.0.weight' in state
    kind = 'oa' if integral else 'cls'
    graph = r'extra_convs_2\.'
    rules = (
        (r'features\.', 'backbone.net.features.'),
        (r'extra_convs_1\.', 'neck.convs.'),
        (graph + 'conv_state', 'neck.graph.state'),
        (graph + 'conv_proj', 'neck.graph.projection'),
        (graph + 'conv_extend', 'neck.graph.extend'),
        (graph + 'blocker', 'neck.graph.norm'),
        (graph + r'gcn\.conv1', 'neck.graph.adjacency'),
        (graph + r'gcn\.conv2', 'neck.graph.graph_weight'),
        (r'extra_convs_3\.[01]', 'head.classifier'),
    )
    return Plan(f'nsrom/{kind}_vgg16_voc12.py', rules)


def _deeplab(state: State) -> Plan:
    """Plan a segmentor, or the weights that its training begins with."""
    net = 'backbone.backbone.net.'
    numbers = dict(reduce=1, conv3x3=2, increase=3)

    def block(match: Any) -> str:
        stage, number, layer, kind = match.groups()
        place = f'{net}layer{int(stage) - 1}.{int(number) - 1}.'
        if layer == 'shortcut':
            return place + f'downsample.{int(kind == "bn")}'
        return place + f'{kind}{numbers[layer]}'

    rules: Rules = (
        (r'(base\.)?layer1\.conv1\.conv', net + 'conv1'),
        (r'(base\.)?layer1\.conv1\.bn', net + 'bn1'),
        (
            r'(?:base\.)?layer([2-5])\.block(\d+)\.'
            r'(reduce|conv3x3|increase|shortcut)\.(conv|bn)',
            block,
        ),
        (r'base\.aspp\.c(\d+)', r'decode_head.decode_head.branches.\1'),
        (r'(base\.)?fc\.', None),
    )
    begins = not any('aspp' in key for key in state)
    optional = r'decode_head\.' if begins else '$'
    return Plan('nsrom/seg_r101_voc12.py', rules, optional=optional)


def _dawsol(state: State) -> Plan:
    data = {1000: 'ilsvrc', 100: 'openimages'}.get(_number(state), 'cub')
    rules: Rules = ((r'domain_classifier\.', None),)
    changes: Dict[str, Any] = {}
    if 'features.0.weight' in state:
        net, data = 'vgg16', 'cub'
        found = {int(x.split('.')[1]) for x in state if x[:9] == 'features.'}
        # Poolings that are not there shift the numbers, attention-based
        # dropout does as well.
        places = dict(zip(sorted(found), _VGG))
        if 24 in found:
            # pool4 is there: maps of 14 x 14.
            changes['model.backbone.output_stride'] = 16
            changes['model.backbone.layers'] = None
        rules += (
            (
                r'features\.(\d+)',
                lambda m: f'backbone.net.features.{places.get(int(m[1]))}',
            ),
            (r'conv6', 'neck.layers.0'),
        )
    elif 'Conv2d_1a_3x3.conv.weight' in state:
        net = 'inception-v3'
        rules += (
            (r'(Conv2d|Mixed)_', r'backbone.net.\1_'),
            (r'SPG_A3_1b\.0', 'neck.layers.0'),
            (r'SPG_A3_2b\.0', 'neck.layers.3'),
        )
    else:
        net = 'r50'
        if 'layer4.3.conv1.weight' in state:
            rules += _without_adl(changes)
        rules += ((r'(conv1|bn1|layer\d)\.', r'backbone.net.\1.'),)
    if 'classifier_A.4.weight' in state:
        first = state['classifier_A.0.weight']
        changes['model.head.type'] = 'ACoLHead'
        changes['model.head.in_channels'] = first.shape[1]
        changes['model.neck'] = None
    rules += (
        (r'(fc|SPG_A4|classifier_A\.4)\.', 'head.classifier.'),
        (r'classifier_A', 'head.features'),
        (r'classifier_B', 'head.second'),
    )
    config = f'da_wsol/dal_cam_{net}_{data}.py'
    return Plan(config, rules, (), changes, r'auxiliary\.')


def _without_adl(changes: Dict[str, Any]) -> Rules:
    """Rename blocks that attention-based dropout has shifted."""
    # Behind the first block of both stages, and the last of layer4.
    changes['model.backbone.insert'] = [
        dict(after=name, layer=dict(type='ADL'))
        for name in ('layer3.0', 'layer4.0', 'layer4.2')
    ]
    return (
        (
            r'layer([34])\.([2-9])',
            lambda m: f'backbone.net.layer{m[1]}.{int(m[2]) - 1}',
        ),
    )


def _wsolevaluation(state: State) -> Plan:
    plan = _dawsol(state)
    return plan._replace(changes={**plan.changes, 'model.auxiliary': []})


def _number(state: State) -> int:
    keys = ('fc.weight', 'SPG_A4.weight', 'classifier_A.4.weight')
    return next((len(state[key]) for key in keys if key in state), 0)


PEERS: Dict[str, Callable[[State], Plan]] = {
    'prm': _prm,
    'countseg': _countseg,
    'nsrom': _nsrom,
    'dawsol': _dawsol,
    'wsolevaluation': _wsolevaluation,
}
