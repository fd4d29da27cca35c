"""Reasoning between regions that convolutions do not connect.

Shape shorthand: N images, K channels, (h, w) the feature map of L = h * w
positions, n nodes, S states a node.
"""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmwsl.registry import MODELS

Features = Union[Tensor, Sequence[Tensor]]


@MODELS.register_module()
class GraphReasoningUnit(BaseModule):
    """Graph reasoning unit of NSROM (https://arxiv.org/abs/2103.14581).

    Positions are projected onto a few nodes, a graph convolution lets the
    nodes exchange their states, and the result is projected back and added
    to the features (https://arxiv.org/abs/1811.12814)::

        V = state(X) B^T,  B = projection(X)         (S x n)
        Z = graph_weight relu(V + adjacency(V))      (S x n)
        Y = X + norm(extend(Z B))                    (K x L)

    As a neck it takes a backbone's tuple and replaces one of its tensors.

    Args:
        in_channels: K.
        num_nodes: n.
        num_states: S, by default twice the nodes.
        normalize: Whether V is divided by L, which makes it independent of
            the size of the map.
        in_index: Which tensor of a tuple is replaced.
        init_cfg: Initialisation, by default torch's.
    """

    def __init__(
        self,
        in_channels: int,
        num_nodes: int = 64,
        num_states: Optional[int] = None,
        normalize: bool = False,
        in_index: int = -1,
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        num_states = 2 * num_nodes if num_states is None else num_states
        self.normalize = normalize
        self.in_index = in_index
        self.in_channels = in_channels
        self.state = nn.Conv2d(in_channels, num_states, 1)
        self.projection = nn.Conv2d(in_channels, num_nodes, 1)
        self.adjacency = nn.Conv1d(num_nodes, num_nodes, 1)
        self.graph_weight = nn.Conv1d(num_states, num_states, 1, bias=False)
        self.extend = nn.Conv2d(num_states, in_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(in_channels, eps=1e-4)

    def forward(self, feats: Features) -> Union[Tensor, Tuple[Tensor, ...]]:
        """Return the tensor (N, K, h, w), or the sequence as a tuple.

        Args:
            feats: A tensor (N, K, h, w), or a sequence of tensors of which
                the ``in_index``-th has that shape.
        """
        if isinstance(feats, Tensor):
            return self._reason(feats)
        replaced = list(feats)
        replaced[self.in_index] = self._reason(replaced[self.in_index])
        return tuple(replaced)

    def _reason(self, x: Tensor) -> Tensor:
        states = self.state(x).flatten(2)
        onto = self.projection(x).flatten(2)
        # The sum over all positions would overflow in half precision.
        with torch.autocast(x.device.type, enabled=False):
            dtype = self.graph_weight.weight.dtype
            states, onto = states.to(dtype), onto.to(dtype)
            nodes = states @ onto.transpose(1, 2)
            if self.normalize:
                nodes = nodes / onto.shape[2]
            adjacency = self.adjacency.weight[:, :, 0]
            nodes = nodes + F.linear(nodes, adjacency, self.adjacency.bias)
            nodes = self.graph_weight.weight[:, :, 0] @ nodes.relu()
            # ``extend`` has no bias, so extend(Z B) = (extend Z) B, which is
            # cheaper because there are fewer nodes than positions.
            back = (self.extend.weight[:, :, 0, 0] @ nodes) @ onto
            back = self.norm(back.reshape(x.shape))
        return x + back.to(x.dtype)


@MODELS.register_module()
class GraphReasoningNeck(BaseModule):
    """Convolutions and a graph reasoning unit, as NSROM's classifier has.

    ``num_convs`` 3 x 3 convolutions with ReLU between them, the graph
    reasoning unit, and one more ReLU: after the unit in the classifier,
    before it in the model that learns the accumulated attention.

    Args:
        in_channels: Channels of the backbone's features.
        channels: K, those of the convolutions and the result.
        num_convs: Number of convolutions.
        relu: 'after' or 'before' the unit.
        in_index: Which of the backbone's outputs is used.
        init_cfg: Initialisation, by default torch's.
        **kwargs: Arguments of :class:`GraphReasoningUnit`.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int = 512,
        num_convs: int = 3,
        relu: str = 'after',
        in_index: int = -1,
        init_cfg: Optional[Dict] = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(init_cfg)
        if relu not in ('before', 'after'):
            raise ValueError(
                f"relu must be 'before' or 'after', got {relu!r}."
            )
        if num_convs < 1:
            raise ValueError(f'num_convs must be at least 1, got {num_convs}.')
        layers: List[nn.Module] = []
        for number in range(num_convs):
            width = channels if number else in_channels
            layers += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU()]
        self.convs = nn.Sequential(*layers[:-1])
        self.graph = GraphReasoningUnit(channels, **kwargs)
        self.relu = relu
        self.in_index = in_index
        self.in_channels = in_channels
        self.out_channels = (channels,)

    def forward(self, feats: Sequence[Tensor]) -> Tuple[Tensor]:
        """Return the features (N, K, h, w) in a tuple."""
        x = self.convs(feats[self.in_index])
        is_before = self.relu == 'before'
        return (self.graph(x.relu()) if is_before else self.graph(x).relu(),)
