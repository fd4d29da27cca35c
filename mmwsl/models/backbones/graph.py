"""Turns a classification CNN into a graph of features with named stages.

A network is traced into a ``torch.fx`` graph. Every node has a nominal
stride: the product of all strides on the way from the image to it. A stage
is all that happens at one nominal stride of at least 4, so that stages 0, 1,
2, 3 are strides 4, 8, 16, 32 in every family, as in OpenMMLab's ResNet.
"""

from dataclasses import dataclass
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Optional,
    Sequence,
    Tuple,
)

import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

POOLS = (nn.MaxPool2d, nn.AvgPool2d)
GLOBAL_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
# Subclasses of these elsewhere (timm) hold state that must not be traced.
LEAVES = (_ConvNd, _BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.Linear, *POOLS)
CLASSIFIERS = ('classifier', 'fc', 'head', 'AuxLogits', 'aux1', 'aux2')
FIRST_STAGE_STRIDE = 4

Strides = Dict[fx.Node, Optional[int]]


@dataclass
class Stage:
    """The last node of a stage and its nominal stride (the stem's: < 4)."""

    node: fx.Node
    stride: int


class FeatureTracer(fx.Tracer):
    """Traces down to torch's layers and notes each node's module path."""

    def __init__(self) -> None:
        super().__init__()
        self._scopes = ['']

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module stays one node."""
        childless = next(m.children(), None) is None
        return (
            childless
            or isinstance(m, LEAVES)
            or super().is_leaf_module(m, module_qualified_name)
        )

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: Tuple[Any, ...],
        kwargs: Dict[str, Any],
    ) -> Any:
        """Follows a call and keeps the path of the module."""
        self._scopes.append(self.path_of_module(m))
        try:
            return super().call_module(m, forward, args, kwargs)
        finally:
            self._scopes.pop()

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """Adds a node that knows its module path."""
        node = super().create_node(*args, **kwargs)
        node.meta['scope'] = self._scopes[-1]
        return node


def trace(model: nn.Module, entry: str) -> fx.Graph:
    """Traces a network; functional poolings become modules of ``model``.

    Args:
        model: the network, which gets new modules.
        entry: the method to trace.

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
    for node in list(graph.nodes):
        if node.op != 'call_function':
            continue
        if node.target in (F.max_pool2d, F.avg_pool2d):
            _pool_to_module(model, graph, node)
        elif node.target is F.dropout:
            raise ValueError(
                'dropout inside the feature layers cannot be traced: set '
                'the drop rate to 0'
            )
    return graph


def _pool_to_module(model: nn.Module, graph: fx.Graph, node: fx.Node) -> None:
    args: Any = node.args[1:]
    kwargs: Dict[str, Any] = {
        key: value
        for key, value in node.kwargs.items()
        if key not in ('input', 'return_indices')
    }
    kind: Callable[..., nn.Module]
    kind = nn.MaxPool2d if node.target is F.max_pool2d else nn.AvgPool2d
    name = '.'.join(filter(None, [node.meta['scope'], node.name]))
    parent, _, leaf = name.rpartition('.')
    setattr(model.get_submodule(parent), leaf, kind(*args, **kwargs))
    with graph.inserting_before(node):
        new = graph.call_module(name, (node.all_input_nodes[0],))
    new.meta['scope'] = name
    node.replace_all_uses_with(new)
    graph.erase_node(node)


def pair(value: Any) -> Tuple[int, int]:
    """An int or a sequence of two ints as a (vertical, horizontal) pair."""
    if isinstance(value, int):
        return value, value
    first, second = value
    return int(first), int(second)


def nominal_strides(model: nn.Module, graph: fx.Graph) -> Strides:
    """The stride of every node; None where the image plane is pooled away.

    Branches that join (residuals, concatenations) take the largest stride,
    so a squeeze-and-excitation branch, which is None, changes nothing.
    """
    strides: Strides = {}
    for node in graph.nodes:
        known = [strides[n] for n in node.all_input_nodes]
        stride = max((s for s in known if s is not None), default=None)
        if node.op == 'placeholder':
            stride = 1
        elif node.op == 'call_module' and stride is not None:
            module = model.get_submodule(str(node.target))
            if isinstance(module, GLOBAL_POOLS):
                stride = None
            elif isinstance(module, (nn.Conv2d, *POOLS)):
                stride *= max(pair(module.stride))
        elif _is_global_pool(node):
            stride = None
        strides[node] = stride
    return strides


def _is_global_pool(node: fx.Node) -> bool:
    name = getattr(node.target, '__name__', node.target)
    return node.op in ('call_function', 'call_method') and name in (
        'mean',
        'adaptive_avg_pool2d',
        'adaptive_max_pool2d',
    )


def _block(node: fx.Node) -> str:
    return '.'.join(node.meta['scope'].split('.')[:2])


def _ends_of_blocks(nodes: Sequence[fx.Node]) -> List[fx.Node]:
    """The nodes at which a block ends and through which all later ones go."""
    order = {node: index for index, node in enumerate(nodes)}
    ends, reach = [], 0
    for index, node in enumerate(nodes):
        is_cut = reach <= index
        uses = [order[user] for user in node.users if user in order]
        reach = max([reach, *uses])
        following = _block(nodes[index + 1]) if node is not nodes[-1] else ''
        # What the network computes outside of its modules is no block.
        if is_cut and (following == '' or following != _block(node)):
            ends.append(node)
    return ends


def find_stages(
    model: nn.Module, graph: fx.Graph, strides: Strides
) -> List[Stage]:
    """The stem and the stages of a network, from the image upwards.

    A last stage of nothing but a pooling (VGG's pool5) is left out.

    Returns:
        list[Stage]: the stem, then one stage per stride of 4, 8, 16, ...

    Raises:
        ValueError: if the network has no such stages.
    """
    nodes = [
        node
        for node in graph.nodes
        if strides[node] is not None
        and node.op != 'output'
        and node.meta['scope'].split('.')[0] not in CLASSIFIERS
    ]
    ends = [
        node for node in _ends_of_blocks(nodes) if node.op != 'placeholder'
    ]
    last: Dict[int, fx.Node] = {strides[node] or 1: node for node in ends}
    stages = [Stage(last[stride], stride) for stride in sorted(last)]
    if stages and _only_pools(model, nodes, strides, stages[-1]):
        stages.pop()
    stem = [stage for stage in stages if stage.stride < FIRST_STAGE_STRIDE]
    stages = [stage for stage in stages if stage.stride >= FIRST_STAGE_STRIDE]
    if not stages:
        raise ValueError('the network has no stage of stride 4 or more')
    # ConvNeXt goes to stride 4 at once: its stem is its first block.
    first = stem[-1:] or [Stage(ends[0], strides[ends[0]] or 1)]
    return first + stages


def _only_pools(
    model: nn.Module, nodes: Iterable[fx.Node], strides: Strides, stage: Stage
) -> bool:
    at_stride = [node for node in nodes if strides[node] == stage.stride]
    return all(
        node.op == 'call_module'
        and isinstance(model.get_submodule(str(node.target)), POOLS)
        for node in at_stride
    )


def truncate(
    model: nn.Module, graph: fx.Graph, outputs: Sequence[fx.Node]
) -> None:
    """Makes the graph return ``outputs`` and drops what they do not need."""
    for node in outputs:
        for user in node.users:
            _disable_inplace(model, user)
    old = next(node for node in graph.nodes if node.op == 'output')
    graph.erase_node(old)
    graph.output(tuple(outputs))
    for node in reversed(list(graph.nodes)):
        if not node.users and node.op not in ('placeholder', 'output'):
            graph.erase_node(node)


def _disable_inplace(model: nn.Module, node: fx.Node) -> None:
    # An in-place activation behind a stage would change what it returns.
    if node.op == 'call_module':
        module: Any = model.get_submodule(str(node.target))
        if getattr(module, 'inplace', False):
            module.inplace = False
    elif node.kwargs.get('inplace'):
        node.kwargs = {**node.kwargs, 'inplace': False}


def call_blocks(net: fx.GraphModule) -> None:
    """Call each part of a network, such as ``layer3``, with its result.

    A graph calls layers alone, so that hooks on the parts that hold them
    would never hear anything. What a hook returns there is not used.
    """
    for name, module in list(net.named_modules()):
        inside = [
            node
            for node in net.graph.nodes
            if f'{node.meta.get("scope", "")}.'.startswith(f'{name}.')
        ]
        # What merely holds other modules became a plain one.
        if not name or type(module) is not nn.Module or not inside:
            continue
        module.__class__ = nn.Identity
        with net.graph.inserting_after(inside[-1]):
            net.graph.call_module(name, (inside[-1],))
    net.recompile()


def split_targets(
    graph: fx.Graph, boundaries: Sequence[fx.Node]
) -> List[List[str]]:
    """Names of the modules and parameters between successive boundaries.

    Returns:
        list[list[str]]: one list per boundary, up to and including it.
    """
    parts: List[List[str]] = [[] for _ in boundaries]
    index = 0
    for node in graph.nodes:
        if index == len(boundaries):
            break
        if node.op in ('call_module', 'get_attr'):
            parts[index].append(str(node.target))
        if node is boundaries[index]:
            index += 1
    return parts
