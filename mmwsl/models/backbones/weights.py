"""Strict loading of backbone weights, also from installed packages."""

import importlib.util
import re
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, Dict, FrozenSet, Optional, Union
from urllib.error import URLError

import torch
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor, nn

from mmwsl.utils.checkpoints import load_state, read_checkpoint

SCHEME = 'package://'
SUFFIXES = ('.pth', '.pt', '.bin', '.ckpt', '.onnx')
# torchvision's DenseNet files predate its present module names.
OLD_DENSENET = re.compile(
    r'^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)$'
)
# Auxiliary classifiers in files of Inception and GoogLeNet.
AUXILIARY = ('AuxLogits.', 'aux1.', 'aux2.')

StateDict = Dict[str, Tensor]
KeyMap = Optional[Union[str, Dict[str, str]]]


def load_weights(
    net: nn.Module,
    checkpoint: str,
    source_keys: FrozenSet[str],
    key_map: KeyMap = None,
    prefix: Optional[str] = None,
    convert: Optional[Callable[[StateDict], StateDict]] = None,
) -> None:
    """Loads a file into a network; nothing is skipped silently.

    Args:
        net: the network to fill.
        checkpoint: anything that mmengine's ``CheckpointLoader`` reads. It
            may be a bare state dict or hold one under ``state_dict`` or
            ``model``; a ``module.`` prefix is removed.
        source_keys: names that the file may hold besides those of ``net``:
            the network's classifier and layers that are not in use.
        key_map: None if the file's names are those of ``net`` or of the
            package ``efficientnet_pytorch``, the name of a renaming in
            ``KEY_MAPS``, or patterns and replacements.
        prefix: read only the keys that start so. None stands for
            ``backbone.`` where the file has such keys.
        convert: what turns other forms of such a file into the network's.

    Raises:
        ValueError: naming the file and a key, if a parameter of ``net`` is
            missing in the file or has another shape there, or if the file
            has parameters that the source network does not have.
    """
    own = frozenset(net.state_dict())
    state = _strip(read_state(checkpoint), prefix)
    try:
        state = convert(state) if convert else state
    except (AttributeError, KeyError, RuntimeError) as error:
        raise ValueError(
            f'{checkpoint} does not fit the network: {error}'
        ) from error
    state = rename(state, own | source_keys, key_map)
    used = {
        key: value
        for key, value in state.items()
        if key in own or not (key in source_keys or key.startswith(AUXILIARY))
    }
    load_state(net, used, checkpoint, strict=True)


def rename(
    state: StateDict, names: FrozenSet[str], key_map: KeyMap
) -> StateDict:
    """Gives the parameters of a file the names of a network.

    Args:
        state: the parameters.
        names: all names of the network.
        key_map: see :func:`load_weights`.
    """
    if key_map is None and '_conv_stem.weight' in state:
        key_map = 'efficientnet_pytorch'
    if isinstance(key_map, str):
        if key_map not in KEY_MAPS:
            raise ValueError(
                f"key_map '{key_map}' is unknown; there are: "
                + ', '.join(KEY_MAPS)
            )
        table = KEY_MAPS[key_map](names)
        state = {table.get(key, key): value for key, value in state.items()}
    for pattern, new in key_map.items() if isinstance(key_map, dict) else ():
        state = {re.sub(pattern, new, key): v for key, v in state.items()}
    return {OLD_DENSENET.sub(r'\1\2', key): v for key, v in state.items()}


def read_state(checkpoint: str) -> StateDict:
    """Reads the tensors of a file; a ``module.`` prefix is removed.

    Raises:
        ValueError: if they are no tensors.
    """
    if checkpoint.endswith('.onnx'):
        in_package = checkpoint.startswith(SCHEME)
        return read_onnx(
            find_package_file(checkpoint) if in_package else checkpoint
        )
    if checkpoint.endswith('.safetensors'):
        from safetensors.torch import load_file

        return load_file(checkpoint)
    try:
        content = CheckpointLoader.load_checkpoint(
            checkpoint, map_location='cpu', logger='silent'
        )
    except KeyError as error:
        # mmengine looks names up in tables without a message of its own.
        raise ValueError(f'{checkpoint}: no weights of that name') from error
    except URLError as error:
        raise ConnectionError(
            f'{checkpoint} cannot be downloaded ({error.reason})'
        ) from error
    for key in ('state_dict', 'model'):
        if isinstance(content, dict) and key in content:
            content = content[key]
    if not isinstance(content, dict) or not all(
        isinstance(value, Tensor) for value in content.values()
    ):
        raise ValueError(f'{checkpoint} is not a state dict of tensors')
    return {re.sub(r'^module\.', '', key): v for key, v in content.items()}


def read_onnx(path: Union[str, Path]) -> StateDict:
    """Reads the convolutions of a network in an ONNX file (needs onnx).

    The graph is not run. Exporters name tensors as they like, so these are
    called ``conv0.weight``, ``conv0.bias``, ``conv1.weight`` and so on, in
    the order of the graph; other layers are left out.

    Raises:
        ImportError: if onnx is not installed.
        ValueError: if it is no ONNX file, or holds other than plain weights.
    """
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            f'{path} needs onnx: pip install onnx', name='onnx'
        ) from error
    try:
        # Without data in other files, whose paths are not to be trusted.
        graph = onnx.load(str(path), load_external_data=False).graph
    except OSError:
        raise
    except Exception as error:
        # Of a kind that protobuf, not onnx, has.
        raise ValueError(f'{path} is no ONNX file ({error})') from error
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    state: StateDict = {}
    convs = [node for node in graph.node if node.op_type == 'Conv']
    for number, node in enumerate(convs):
        for kind, name in zip(('weight', 'bias'), node.input[1:]):
            tensor = tensors.get(name)
            if tensor is None or tensor.external_data:
                raise ValueError(
                    f'{path}: {name}, the {kind} of a convolution, is not in '
                    'the file'
                )
            try:
                array = onnx.numpy_helper.to_array(tensor)
            except (TypeError, ValueError) as error:
                raise ValueError(f'{path}: {name}: {error}') from error
            state[f'conv{number}.{kind}'] = torch.tensor(array)
    return state


def _strip(state: StateDict, prefix: Optional[str]) -> StateDict:
    """Remove what stands before the names of the source network."""
    if prefix is None and any(key.startswith('backbone.') for key in state):
        prefix = 'backbone.'
    if prefix is None:
        return state
    # Our own checkpoints hold the network under the name ``net``.
    start = re.compile(rf'^{re.escape(prefix.rstrip("."))}\.(net\.)?')
    return {
        start.sub('', key): value
        for key, value in state.items()
        if start.match(key)
    }


def efficientnet_key_map(names: FrozenSet[str]) -> Dict[str, str]:
    """Names of the package ``efficientnet_pytorch`` -> timm's EfficientNet.

    The former numbers all blocks in one row, the latter by stage.

    Args:
        names: the names of the timm network.

    Returns:
        dict[str, str]: file name -> timm name, for every name.
    """
    matches = {name: _TIMM_BLOCK.match(name) for name in names}
    found = [match for match in matches.values() if match]
    blocks = sorted({(int(match[1]), int(match[2])) for match in found})
    expanding = {match[1] for match in found if match[3] == 'conv_pwl'}
    table = {}
    for name, match in matches.items():
        if match:
            number = blocks.index((int(match[1]), int(match[2])))
            layers = _EXPANDED if match[1] in expanding else _PLAIN
            layer = layers.get(match[3], match[3])
            table[f'_blocks.{number}.{layer}.{match[4]}'] = name
        else:
            layer, dot, rest = name.partition('.')
            table[_STEM_HEAD.get(layer, layer) + dot + rest] = name
    return table


def vgg_key_map(names: FrozenSet[str]) -> Dict[str, str]:
    """Names that :func:`read_onnx` gives -> torchvision's VGG."""
    matches = [re.match(r'features\.(\d+)\.weight$', name) for name in names]
    layers = sorted(int(match[1]) for match in matches if match)
    return {
        f'conv{number}.{kind}': f'features.{layer}.{kind}'
        for number, layer in enumerate(layers)
        for kind in ('weight', 'bias')
    }


_TIMM_BLOCK = re.compile(r'^blocks\.(\d+)\.(\d+)\.(\w+)\.(.+)$')
_STEM_HEAD = {
    'conv_stem': '_conv_stem',
    'bn1': '_bn0',
    'conv_head': '_conv_head',
    'bn2': '_bn1',
    'classifier': '_fc',
}
_EXPANDED = {
    'conv_pw': '_expand_conv',
    'bn1': '_bn0',
    'conv_dw': '_depthwise_conv',
    'bn2': '_bn1',
    'conv_pwl': '_project_conv',
    'bn3': '_bn2',
}
# The first block has no expansion, and its normalisations count from 1.
_PLAIN = {
    'conv_dw': '_depthwise_conv',
    'bn1': '_bn1',
    'conv_pw': '_project_conv',
    'bn2': '_bn2',
}
# How other code names the parameters; a converter is a function of the names
# of the network that returns file name -> own name.
KEY_MAPS: Dict[str, Callable[[FrozenSet[str]], Dict[str, str]]] = {
    'efficientnet_pytorch': efficientnet_key_map,
    'vgg_onnx': vgg_key_map,
}


@CheckpointLoader.register_scheme(prefixes=SCHEME, force=True)
def load_from_package(
    filename: str, map_location: Union[str, torch.device, None] = None
) -> Any:
    """Loads a weight file that an installed Python package carries.

    Args:
        filename: ``package://NAME/FILE``; NAME as pip or as Python's import
            knows it, FILE the file's name or its path in the package.
        map_location: see :func:`torch.load`.
    """
    return read_checkpoint(find_package_file(filename), map_location)


def find_package_file(filename: str) -> Path:
    """The path of ``package://NAME/FILE``; the package is not imported.

    Raises:
        ImportError: naming the pip command, if NAME is not installed.
        FileNotFoundError: listing the package's weight files, if FILE is
            none of them.
        ValueError: if ``filename`` has another form or FILE is ambiguous.
    """
    name, _, wanted = filename[len(SCHEME) :].partition('/')
    if not filename.startswith(SCHEME) or not name or not wanted:
        raise ValueError(f'{filename} is not of the form {SCHEME}NAME/FILE')
    modules = {name.replace('-', '_')}
    try:
        distribution = metadata.distribution(name)
        modules |= {file.parts[0] for file in distribution.files or []}
        modules |= set((distribution.read_text('top_level.txt') or '').split())
    except metadata.PackageNotFoundError:
        pass
    # A dotted name would import its parent.
    specs = [importlib.util.find_spec(m) for m in modules if m.isidentifier()]
    roots = [
        Path(root)
        for spec in specs
        for root in (spec and spec.submodule_search_locations) or []
    ]
    if not roots:
        raise ImportError(
            f'{filename} needs a package: pip install {name}', name=name
        )
    files = {
        path.resolve()
        for root in roots
        for path in root.rglob('*')
        if path.suffix in SUFFIXES and path.is_file()
    }
    found = [
        path for path in files if f'/{path.as_posix()}'.endswith(f'/{wanted}')
    ]
    if not found:
        names = ', '.join(sorted(path.name for path in files)) or 'none'
        raise FileNotFoundError(
            f'{filename}: no such file, weight files of {name}: {names}'
        )
    if len(found) > 1:
        paths = ', '.join(sorted(path.as_posix() for path in found))
        raise ValueError(f'{filename} is ambiguous: {paths}')
    return found[0]
