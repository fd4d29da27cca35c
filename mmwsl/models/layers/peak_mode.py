"""How the convolutions of a model come by the top-down rule.

Shape shorthand: N images, K input and L output channels of a convolution,
(H, W) the grid of its input.
"""

from typing import Any, Dict, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mmwsl.models.layers.peak_rules import TopDownConv

_OTHER_CONVOLUTIONS = (
    torch.conv1d,
    torch.conv3d,
    torch.conv_transpose1d,
    torch.conv_transpose2d,
    torch.conv_transpose3d,
    torch.conv_tbc,
    torch.convolution,
)


class TopDownMode(TorchFunctionMode):
    """Inside, every 2-d convolution is a :class:`TopDownConv`.

    However they are called, by modules or as functions. It holds for the
    thread that enters it and changes no module. Only what depends on
    ``image`` is recorded by autograd, and nothing is computed in half
    precision.

    Zeros that ``F.pad`` puts around the input of a convolution count as that
    convolution's own padding, not as a part of U.

    Args:
        image: The leaf tensor that the gradients are for.
        names: Names of parameters by id, for messages.
    """

    def __init__(self, image: Tensor, names: Dict[int, str]) -> None:
        super().__init__()
        self.image = image
        self.names = names
        # By the id of a padded tensor: itself, its version and U^.
        self._padded: Dict[int, Tuple[Tensor, int, Tensor]] = {}

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Optional[Dict[str, Any]] = None,
    ) -> Any:
        """Call ``func`` in its stead."""
        kwargs = kwargs or {}
        if func in _OTHER_CONVOLUTIONS:
            raise TypeError(self._refusal(func, args, kwargs))
        args = [self._plain(value) for value in args]
        kwargs = {key: self._plain(value) for key, value in kwargs.items()}
        # A model may switch autocast on by itself.
        with torch.autocast(self.image.device.type, enabled=False):
            if func is F.conv2d:
                return self._conv2d(*args, **kwargs)
            result = func(*args, **kwargs)
        if func is F.pad:
            self._note_padding(result, *args, **kwargs)
        return result

    def _plain(self, value: Any) -> Any:
        """Return a tensor as it takes part: in full precision, constant."""
        if not isinstance(value, Tensor):
            return value
        if value.is_inference():
            # Autograd keeps no such tensors.
            value = value.detach().clone()
        if value.requires_grad and value.is_leaf and value is not self.image:
            value = value.detach()
        if value.dtype in (torch.float16, torch.bfloat16):
            value = value.float()
        return value

    def _conv2d(
        self,
        input: Tensor,
        weight: Tensor,
        bias: Optional[Tensor] = None,
        stride: Union[int, Sequence[int]] = 1,
        padding: Union[str, int, Sequence[int]] = 0,
        dilation: Union[int, Sequence[int]] = 1,
        groups: int = 1,
    ) -> Tensor:
        settings: Dict[str, Any] = dict(
            stride=stride, padding=padding, dilation=dilation, groups=groups
        )
        if not input.requires_grad or input.dim() != 4:
            return F.conv2d(input, weight, bias, **settings)
        with torch.no_grad():
            padded, version, shifted = self._padded.get(
                id(input), (None, -1, None)
            )
            if padded is not input or version != input._version:
                shifted = _shift(input)
        return TopDownConv.apply(input, weight, bias, shifted, settings)

    def _note_padding(
        self,
        result: Tensor,
        input: Tensor,
        pad: Sequence[int],
        mode: str = 'constant',
        value: Optional[float] = None,
    ) -> None:
        zeros = mode == 'constant' and not value and min(pad, default=0) >= 0
        if zeros and input.requires_grad and input.dim() == 4:
            with torch.no_grad():
                shifted = F.pad(_shift(input), pad)
            self._padded[id(result)] = (result, result._version, shifted)

    def _refusal(
        self, func: Any, args: Sequence[Any], kwargs: Dict[str, Any]
    ) -> str:
        weight = kwargs.get('weight', args[1] if len(args) > 1 else None)
        name = self.names.get(id(weight), 'a layer without a name')
        return (
            f'{name}: peak back-propagation goes through 2-d convolutions '
            f'only, not through {func.__name__}.'
        )


def parameter_names(model: nn.Module) -> Dict[int, str]:
    """Return the names of the parameters of a model by their ids."""
    return {id(value): name for name, value in model.named_parameters()}


def _shift(inputs: Tensor) -> Tensor:
    """Return U^ (N, K, H, W), U less the minimum of each image."""
    return inputs - inputs.amin(dim=(1, 2, 3), keepdim=True)
