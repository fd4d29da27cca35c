"""Any head with the localisation loss of DA-WSOL."""

from typing import Any, Dict, Optional, Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mmwsl.models.heads.label_utils import stack_gt_scores
from mmwsl.models.losses.dal_loss import DALTerms
from mmwsl.registry import MODELS
from mmwsl.structures import WSLDataSample


@MODELS.register_module()
class DALHead(BaseModule):
    """Adds DA-WSOL's loss to the training of any other head.

    Predictions are the inner head's. What is asked of this head and not
    found here is the inner head's too, for example ``num_classes``.

    Shape shorthand: N images, C classes, (h, w) the feature map.

    Attributes:
        keep_assignment: Whether the next loss keeps its assignment, which
            costs a copy.
        last_assignment: Long (N, h, w): 0 universum, 1 fake source, 2
            target, by the first class of every image; 0 for images without
            classes. None if nothing was assigned.

    Args:
        head: Config of the inner head.
        dal: Config of the loss, for example ``dict(type='DALLoss', ...)``.
        in_index: Which of the backbone's outputs is adapted.
        init_cfg: Initialisation of both.

    Raises:
        ValueError: If the assigner of the loss has another number of classes
            than the inner head, or draws sets of two sizes.
    """

    def __init__(
        self,
        head: Dict,
        dal: Dict,
        in_index: int = -1,
        init_cfg: Optional[Dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        self.head = MODELS.build(head)
        self.dal = MODELS.build(dal)
        _check_assigner(getattr(self.dal, 'assigner', None), self.head)
        self.in_index = in_index
        self.keep_assignment = False
        self.last_assignment: Optional[Tensor] = None

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of this head or else of the inner one."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == 'head' or name.startswith('_'):
                raise
            return getattr(self.head, name)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Return the class maps (N, C, h, w) of a tuple of features."""
        return self.head(feats)

    def set_epoch(self, epoch: int) -> None:
        """Take note of the epoch of training, from 0."""
        for part in (self.head, self.dal):
            if hasattr(part, 'set_epoch'):
                part.set_epoch(epoch)

    def loss(
        self, feats: Sequence[Tensor], data_samples: Sequence[WSLDataSample]
    ) -> Dict[str, Tensor]:
        """Return the inner head's losses and those of domain adaption.

        Args:
            feats: Features of the backbone or neck.
            data_samples: N samples with ``gt_score``.

        Returns:
            The inner head's losses, ``loss_discrepancy`` and
            ``loss_universum``.
        """
        losses = self.head.loss(feats, data_samples)
        targets = stack_gt_scores(data_samples, self.head.num_classes)
        terms = self.dal(feats[self.in_index], targets)
        losses['loss_discrepancy'] = terms.discrepancy
        losses['loss_universum'] = terms.universum
        if self.keep_assignment:
            self.last_assignment = _by_image(terms, len(targets))
        return losses


def _check_assigner(assigner: Any, head: Any) -> None:
    """Refuse numbers that would fail in the first step of training."""
    expected = head.num_classes
    found = getattr(assigner, 'num_classes', expected)
    if found != expected:
        raise ValueError(
            f'DALHead: num_classes of the assigner is {found}, but the inner '
            f'head has {expected} classes.'
        )
    source = getattr(assigner, 'num_source', None)
    target = getattr(assigner, 'num_target', None)
    if source != target:
        raise ValueError(
            'DALHead: num_source and num_target of the assigner must be '
            f'equal, got {source} and {target}.'
        )


def _by_image(terms: DALTerms, count: int) -> Optional[Tensor]:
    """Return the assignment (N, h, w) of every image's first entry."""
    if terms.assignment is None:
        return None
    found = terms.assignment
    kept = found.new_zeros((count, *found.shape[1:]))
    images = torch.arange(count, device=found.device)
    first = torch.searchsorted(terms.images, images)
    has_one = torch.isin(images, terms.images)
    kept[has_one] = found[first[has_one]]
    return kept
