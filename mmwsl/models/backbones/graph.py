"""Turns a classification CNN into a graph of features with named stages.

The ``meta`` of every node holds its ``scope``, the path of the module that it
lies in, and its nominal ``stride``: the product of all strides on the way
from the image to it, or None where the image plane is pooled away. A stage
is all that happens at one nominal stride of at least 4, so that stages 0, 1,
2, 3 are strides 4, 8, 16, 32 in every family, as in OpenMMLab's ResNet.
"""

import difflib
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from mmwsl.registry import MODELS

POOLS = (nn.MaxPool2d, nn.AvgPool2d)
# Subclasses of these elsewhere (timm) hold state that must not be traced.
LEAVES = (_ConvNd, _BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.Linear, *POOLS)
GLOBAL_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
GLOBAL_POOL_NAMES = ('mean', 'adaptive_avg_pool2d', 'adaptive_max_pool2d')
CLASSIFIERS = ('classifier', 'fc', 'head', 'AuxLogits', 'aux1', 'aux2')
FIRST_STAGE_STRIDE = 4


class FeatureTracer(fx.Tracer):
    """Traces down to torch's layers."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module stays one node."""
        childless = next(m.children(), None) is None
        return (
            childless
            or isinstance(m, LEAVES)
            or super().is_leaf_module(m, module_qualified_name)
        )


def trace(
    model: nn.Module,
    entry: str = 'forward',
    layers: Optional[Mapping[str, Dict[str, Any]]] = None,
) -> fx.GraphModule:
    """Traces a network; its functional poolings become modules.

    Args:
        model: the network.
        entry: the method to trace.
        layers: see :func:`set_layers`.

    Raises:
        ValueError: if the network's course depends on its input, or if it
            has functional dropout, whose training flag a graph cannot
            follow.
    """
    tracer = FeatureTracer()
    tracer.traced_func_name = entry
    try:
        graph = tracer.trace(model)
    except (fx.proxy.TraceError, RuntimeError, TypeError) as error:
        raise ValueError(
            f'{type(model).__name__} cannot be traced: {error}'
        ) from error
    net = fx.GraphModule(model, graph, type(model).__name__)
    for node in list(graph.nodes):
        node.meta['scope'] = tracer.node_name_to_scope[node.name][0]
        if node.target in (F.max_pool2d, F.avg_pool2d):
            _pool_to_module(net, node)
        elif node.target is F.dropout:
            raise ValueError(
                'dropout inside the feature layers cannot be traced: set '
                'the drop rate to 0'
            )
    set_layers(net, layers or {})
    for node in graph.nodes:
        node.meta['stride'] = _nominal_stride(net, node)
    return net


def _pool_to_module(net: fx.GraphModule, node: fx.Node) -> None:
    kind = nn.MaxPool2d if node.target is F.max_pool2d else nn.AvgPool2d
    kwargs: Any = {
        key: value
        for key, value in node.kwargs.items()
        if key not in ('input', 'return_indices')
    }
    args: Any = node.args[1:]
    name = '.'.join(filter(None, [node.meta['scope'], node.name]))
    net.add_submodule(name, kind(*args, **kwargs))
    with net.graph.inserting_before(node):
        new = net.graph.call_module(name, (node.all_input_nodes[0],))
    new.meta['scope'] = name
    node.replace_all_uses_with(new)
    net.graph.erase_node(node)


def set_layers(
    net: fx.GraphModule, layers: Mapping[str, Dict[str, Any]]
) -> None:
    """Changes the geometry of layers, whose weights stay what they are.

    Args:
        net: the traced network, changed in place.
        layers: patterns of whole names (``features.23``,
            ``layer[34].0.conv1``) and what to set: ``stride``, ``padding``
            and ``dilation``, of poolings also ``kernel_size`` and
            ``ceil_mode``. A functional pooling is ``PART.max_pool2d``.

    Raises:
        ValueError: if a pattern matches nothing, or a layer has no such
            setting.
    """
    for pattern, settings in layers.items():
        found = [x for x in net.named_modules() if re.fullmatch(pattern, x[0])]
        if not found:
            raise ValueError(
                f"layers: no layer in use has a name like '{pattern}'"
            )
        for name, layer in found:
            known = {'stride', 'padding', 'dilation'}
            if isinstance(layer, POOLS):
                known |= {'kernel_size', 'ceil_mode'}
            for key, value in settings.items():
                if key not in known or not hasattr(layer, key):
                    raise ValueError(
                        f'layers: {key} of {name}, a {type(layer).__name__}, '
                        'cannot be set'
                    )
                setattr(
                    layer, key, value if key == 'ceil_mode' else pair(value)
                )


def pair(value: Any) -> Tuple[int, int]:
    """An int or a sequence of two ints as a (vertical, horizontal) pair."""
    if isinstance(value, int):
        return value, value
    first, second = value
    return int(first), int(second)


def _nominal_stride(net: fx.GraphModule, node: fx.Node) -> Optional[int]:
    if node.op == 'placeholder':
        return 1
    # Branches that join (residuals, concatenations) take the largest stride,
    # so a squeeze-and-excitation branch, which is None, changes nothing.
    known = [other.meta['stride'] for other in node.all_input_nodes]
    stride = max((s for s in known if s is not None), default=None)
    if stride is None:
        return None
    if node.op == 'call_module':
        module = net.get_submodule(str(node.target))
        if isinstance(module, GLOBAL_POOLS):
            return None
        if isinstance(module, (nn.Conv2d, *POOLS)):
            return stride * max(pair(module.stride))
        return stride
    name = getattr(node.target, '__name__', node.target)
    return None if name in GLOBAL_POOL_NAMES else stride


def _block(node: fx.Node) -> str:
    return '.'.join(node.meta['scope'].split('.')[:2])


def find_stages(net: fx.GraphModule) -> List[fx.Node]:
    """The last nodes of the stem and the stages, from the image upwards.

    A last stage of nothing but a pooling (VGG's pool5) is left out.

    Returns:
        list[Node]: the stem's, then one per stride of 4, 8, 16, ...

    Raises:
        ValueError: if the network has no such stages.
    """
    nodes = [
        node
        for node in net.graph.nodes
        if node.meta['stride'] is not None
        and node.op != 'output'
        and node.meta['scope'].split('.')[0] not in CLASSIFIERS
    ]
    # Blocks end where all that comes later goes through one node.
    order = {node: index for index, node in enumerate(nodes)}
    ends: List[fx.Node] = []
    reach = 0
    for index, node in enumerate(nodes):
        following = _block(nodes[index + 1]) if node is not nodes[-1] else ''
        # What the network computes outside of its modules is no block.
        is_end = following == '' or following != _block(node)
        if is_end and reach <= index and node.op != 'placeholder':
            ends.append(node)
        uses = [order[user] for user in node.users if user in order]
        reach = max([reach, *uses])
    last: Dict[int, fx.Node] = {node.meta['stride']: node for node in ends}
    strides = sorted(last)
    if strides and all(
        node.op == 'call_module'
        and isinstance(net.get_submodule(str(node.target)), POOLS)
        for node in nodes
        if node.meta['stride'] == strides[-1]
    ):
        strides.pop()
    stages = [last[s] for s in strides if s >= FIRST_STAGE_STRIDE]
    if not stages:
        raise ValueError('the network has no stage of stride 4 or more')
    # ConvNeXt goes to stride 4 at once: its stem is its first block.
    stem = [last[s] for s in strides if s < FIRST_STAGE_STRIDE]
    return [*(stem[-1:] or ends[:1]), *stages]


def truncate(net: fx.GraphModule, outputs: Sequence[fx.Node]) -> None:
    """Makes the graph return ``outputs`` and drops what they do not need."""
    for user in [user for node in outputs for user in node.users]:
        # An in-place activation would change what is returned.
        if user.op == 'call_module':
            module: Any = net.get_submodule(str(user.target))
            if getattr(module, 'inplace', False):
                module.inplace = False
        elif user.kwargs.get('inplace'):
            user.kwargs = {**user.kwargs, 'inplace': False}
    *nodes, old = net.graph.nodes
    net.graph.erase_node(old)
    net.graph.output(tuple(outputs))
    for node in reversed(nodes):
        if not node.users and node.op != 'placeholder':
            net.graph.erase_node(node)


def insert_layers(
    net: fx.GraphModule, insert: Sequence[Dict[str, Any]]
) -> None:
    """Puts layers behind named parts of a network.

    Args:
        net: the traced network, which gets the layers as ``inserted_0`` and
            so on.
        insert: for each layer ``after``, the path of a module of the network
            (``layer3`` or ``layer3.1.conv2``) or the name of a node of the
            graph, and ``layer``, the config of a module (N, C, h, w) -> (N,
            C, h, w) without parameters.

    Raises:
        ValueError: if there is no such part among the layers in use, or if
            a layer has parameters, which weight files do not know.
    """
    for index, config in enumerate(insert):
        if set(config) != {'after', 'layer'}:
            raise ValueError(
                f"insert[{index}] needs 'after' and 'layer', got "
                f'{sorted(config)}'
            )
        node = _last_node(net.graph, config['after'])
        layer = MODELS.build(config['layer'])
        if layer.state_dict():
            raise ValueError(
                f'insert[{index}]: {type(layer).__name__} has parameters'
            )
        name = f'inserted_{index}'
        net.add_submodule(name, layer)
        with net.graph.inserting_after(node):
            new = net.graph.call_module(name, (node,))
        new.meta['scope'] = name
        for user in [user for user in node.users if user is not new]:
            user.replace_input_with(node, new)


def _last_node(graph: fx.Graph, name: str) -> fx.Node:
    found, known = None, set()
    for node in graph.nodes:
        if node.op in ('placeholder', 'output'):
            continue
        scope = node.meta['scope']
        known |= {scope, scope.split('.')[0]}
        if node.name == name or f'{scope}.'.startswith(f'{name}.'):
            found = node
    if found is None:
        close = difflib.get_close_matches(name, known) or sorted(known)[-3:]
        raise ValueError(
            f"insert: the layers in use have no part '{name}'; there are for "
            f'example {", ".join(filter(None, close))}'
        )
    return found


def targets_up_to(graph: fx.Graph, last: fx.Node) -> List[str]:
    """Names of the modules and parameters in use until a node is reached."""
    names = []
    for node in graph.nodes:
        if node.op in ('call_module', 'get_attr'):
            names.append(str(node.target))
        if node is last:
            break
    return names


def call_blocks(net: fx.GraphModule) -> None:
    """Call each part of a network, such as ``layer3``, with its result.

    A graph calls layers alone, so that hooks on the parts that hold them
    would never hear anything. What comes later takes what the parts return:
    hooks see values and gradients, and may change them.
    """
    # What lies inside goes first, as its result is that of the whole.
    for name, module in reversed(list(net.named_modules())):
        inside = [
            node
            for node in net.graph.nodes
            if f'{node.meta.get("scope", "")}.'.startswith(f'{name}.')
        ]
        # What merely holds other modules became a plain one.
        if not name or type(module) is not nn.Module or not inside:
            continue
        module.__class__ = nn.Identity
        last = inside[-1]
        with net.graph.inserting_after(last):
            new = net.graph.call_module(name, (last,))
        new.meta['scope'] = name
        for user in [user for user in last.users if user is not new]:
            user.replace_input_with(last, new)
    net.recompile()
