"""Layers put into a traced network."""

import difflib
from typing import Any, Dict, Sequence

from torch import fx, nn

from mmwsl.registry import MODELS


def insert_layers(
    model: nn.Module, graph: fx.Graph, insert: Sequence[Dict[str, Any]]
) -> None:
    """Puts layers behind named parts of a network.

    Args:
        model: the traced network, which gets the layers as ``inserted_0``
            and so on.
        graph: its graph, changed in place.
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
        node = _find(graph, config['after'])
        layer = MODELS.build(config['layer'])
        if layer.state_dict():
            raise ValueError(
                f'insert[{index}]: {type(layer).__name__} has parameters'
            )
        name = f'inserted_{index}'
        model.add_module(name, layer)
        with graph.inserting_after(node):
            new = graph.call_module(name, (node,))
        new.meta['scope'] = name
        users = [user for user in node.users if user is not new]
        for user in users:
            user.replace_input_with(node, new)


def _find(graph: fx.Graph, name: str) -> fx.Node:
    """The last node of a part, where the part's result is."""
    found, known = None, set()
    for node in graph.nodes:
        if node.op in ('placeholder', 'output'):
            continue
        scope = node.meta.get('scope', '')
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
