"""Maps of attention: what the class token of a transformer attends to.

Shape shorthand: N images, T tokens of which the first is the class token. A
layer's weights (N, T, T), averaged over its heads, say in row i how much of
each token goes into token i; rows sum to 1.
"""

from typing import Sequence

import torch
from torch import Tensor


def class_attention(weights: Sequence[Tensor]) -> Tensor:
    """Average the class token's own attention over the layers.

    The class-agnostic map of TS-CAM (https://arxiv.org/abs/2103.14862).

    Args:
        weights: (N, T, T) of each layer.

    Returns:
        (N, T), rows sum to 1.
    """
    return torch.stack([layer[:, 0] for layer in weights]).mean(dim=0)


def attention_rollout(
    weights: Sequence[Tensor], residual: float = 0.5
) -> Tensor:
    """Follow the class token's attention down to the input.

    Attention rollout (https://arxiv.org/abs/2005.00928): the product of all
    layers' weights, each mixed with the identity for the residual path. Only
    the class token's row of it is computed.

    Args:
        weights: (N, T, T) of each layer, the first one first.
        residual: share of the identity.

    Returns:
        (N, T), rows sum to 1.
    """
    number, tokens = weights[0].shape[:2]
    same = torch.eye(tokens).to(weights[0])
    row = same[:1].expand(number, 1, tokens)
    for layer in reversed(weights):
        mixed = residual * same + (1 - residual) * layer
        # In half precision rows sum to 1 only nearly.
        row = row @ (mixed / mixed.sum(dim=-1, keepdim=True))
    return row[:, 0]
