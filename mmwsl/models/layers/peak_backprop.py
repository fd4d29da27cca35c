"""Peak back-propagation: which pixels made a class map peak.

Peak back-propagation of "Weakly Supervised Instance Segmentation using Class
Peak Response" (https://arxiv.org/abs/1804.00880), section 3.3. The rule of
the convolutions stands in ``peak_rules``.

Shape shorthand: N images of (H, W) pixels and K channels, C classes, P peaks,
(h, w) the grid of the class maps.
"""

import sys
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, ContextManager, Iterator, List, Optional, Sequence

import torch
from torch import Tensor, nn

from mmwsl.models.layers import peak_rules

# How many values the gradients of a layer may have if peaks go together,
# 256 MiB, with so many channels at the size of the image in the largest one.
_BUDGET = 1 << 26
_CHANNELS = 32

# Class, row and column.
Peak = Sequence[int]


def peak_response_maps(
    model: nn.Module,
    inputs: Tensor,
    peaks: Tensor,
    chunk_size: Optional[int] = None,
) -> Tensor:
    """Trace peaks of class maps back to the pixels of their image.

    Probability flows from a peak down to the image, through convolutions by
    the rule of Eq. 4 and 5 and through all other layers as the gradient
    does. What arrives at a pixel, summed over its channels, clamped at 0 and
    divided by the sum over the image, is the peak response map.

    Each image goes through the model once and by itself, so that its maps do
    not depend on the others of the batch. Its peaks share that pass.
    Then they go down one by one on CPUs, where what a peak does not depend
    on is left out, and together, as far as memory allows, elsewhere.

    The model runs in eval mode, without autocast, not compiled, in single
    precision, or in double if its parameters are. Nothing of it is changed:
    the modes are set back and no gradient is left behind, also when an
    exception passes through. Frozen parameters, ``torch.no_grad`` and
    ``torch.inference_mode`` around the call make no difference.

    Args:
        model: Any module that maps images (1, K, H, W) to class maps
            (1, C, h, w). 2-d convolutions may have any stride, padding,
            padding mode, dilation and groups.
        inputs: Images (N, K, H, W) as the model takes them.
        peaks: Whole numbers (P, 4): image, class, row and column of each
            peak on the class maps.
        chunk_size: How many peaks go together at most, on other devices than
            CPUs. By default as many as the size of the image allows.

    Returns:
        Maps (P, H, W) on the device of the images, in single precision, or
        in double if the model is. Each sums to 1, or is 0 everywhere where
        nothing reaches the image. They carry no gradient.

    Raises:
        TypeError: If an argument is of the wrong type, or the model holds
            what peaks cannot go through: other convolutions than 2-d ones,
            TorchScript, activation checkpointing.
        ValueError: If shapes do not fit together, a peak lies outside the
            maps, or the maps do not depend on the images.
    """
    _check(model, inputs, peaks, chunk_size)
    rows = peaks.tolist()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.autocast(inputs.device.type, enabled=False))
        stack.enter_context(_uncompiled())
        stack.enter_context(_eval_mode(model))
        result = inputs.new_zeros(
            len(rows), *inputs.shape[2:], dtype=_precision(model, inputs)
        )
        for number in sorted({row[0] for row in rows}):
            own = [i for i, row in enumerate(rows) if row[0] == number]
            image = inputs[number : number + 1].detach().to(result.dtype)
            found = [rows[i][1:] for i in own]
            traced = _trace(model, image.clone(), found, chunk_size)
            for i, grad in zip(own, traced):
                result[i] = _normalize(grad)
    return result


def _trace(
    model: nn.Module, image: Tensor, peaks: Sequence[Peak], size: Optional[int]
) -> Iterator[Tensor]:
    """Yield the gradient of an image (1, K, H, W) for each of its peaks."""
    image.requires_grad_()
    names = {id(value): name for name, value in model.named_parameters()}
    with torch.enable_grad(), peak_rules.TopDownMode(image, names):
        # Layers may work in place, which a leaf does not allow.
        maps = model(image.clone())
    _check_maps(maps, peaks)
    _check_graph(maps)
    step = size or max(1, _BUDGET // (_CHANNELS * image[0, 0].numel()))
    if image.device.type in peak_rules.ONE_BY_ONE:
        step = 1
    for start in range(0, len(peaks), step):
        some = peaks[start : start + step]
        starts = maps.new_zeros(len(some), *maps.shape)
        for one, peak in zip(starts, some):
            one[(0, *peak)] = 1
        batched = len(some) > 1
        starts = starts if batched else starts[0]
        (grads,) = torch.autograd.grad(
            maps, image, starts, retain_graph=True, is_grads_batched=batched
        )
        yield from grads.view(len(some), *image.shape)


def _check_graph(maps: Tensor) -> None:
    """Refuse what asks for its own backward pass."""
    nodes: List[Any] = [maps.grad_fn]
    seen = set(nodes)
    for node in nodes:
        if node.name() == 'CheckpointFunctionBackward':
            raise TypeError(
                'peak back-propagation cannot go through activation '
                'checkpointing; switch it off in the model.'
            )
        below = {node for node, _ in node.next_functions} - seen - {None}
        seen |= below
        nodes += below


def _normalize(grad: Tensor) -> Tensor:
    """Turn the gradient of an image (1, K, H, W) into a map of sum 1."""
    response = grad[0].sum(dim=0).clamp(min=0)
    # By the maximum first: sums of very small numbers lose digits.
    top = response.amax()
    response = response / torch.where(top > 0, top, torch.ones_like(top))
    return response / response.sum().clamp(min=1)


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    """Let a model be in eval mode inside.

    Only the flags are set: ``train()`` does more than that in some modules.
    """
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True


def _uncompiled() -> ContextManager[Any]:
    """Let compiled modules run as they are written, where torch can."""
    # What nobody has imported has not compiled anything either.
    if 'torch._dynamo' in sys.modules and hasattr(
        torch.compiler, 'set_stance'
    ):
        return torch.compiler.set_stance('force_eager')
    return nullcontext()


def _precision(model: nn.Module, inputs: Tensor) -> torch.dtype:
    types = [p.dtype for p in model.parameters()] or [inputs.dtype]
    return torch.float64 if torch.float64 in types else torch.float32


def _check(model: Any, inputs: Tensor, peaks: Tensor, size: Any) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f'model must be a module, got {type(model).__name__}.')
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError(
                f'{name or "model"}: peak back-propagation cannot go through '
                'TorchScript.'
            )
    if inputs.dim() != 4:
        raise ValueError(
            'inputs must have the shape (N, K, H, W), got '
            f'{tuple(inputs.shape)}.'
        )
    if peaks.dim() != 2 or peaks.shape[1] != 4:
        raise ValueError(
            f'peaks must have the shape (P, 4), got {tuple(peaks.shape)}.'
        )
    if len(peaks) and (peaks.is_floating_point() or peaks.dtype == torch.bool):
        raise TypeError(f'peaks must be whole numbers, got {peaks.dtype}.')
    for row in peaks.tolist():
        if not 0 <= row[0] < len(inputs):
            raise ValueError(
                f'peak {row} is in no image, the batch has {len(inputs)}.'
            )
    if size is not None and size < 1:
        raise ValueError(f'chunk_size must be at least 1, got {size}.')


def _check_maps(maps: Any, peaks: Sequence[Peak]) -> None:
    if not isinstance(maps, Tensor) or maps.dim() != 4 or len(maps) != 1:
        shape = getattr(maps, 'shape', None)
        raise TypeError(
            'model must return class maps (1, C, h, w) for one image, got '
            f'{type(maps).__name__ if shape is None else tuple(shape)}.'
        )
    if maps.grad_fn is None:
        raise ValueError(
            'the class maps do not depend on the images, or the model '
            'switches gradients off.'
        )
    for peak in peaks:
        if not all(0 <= i < size for i, size in zip(peak, maps.shape[1:])):
            raise ValueError(
                f'peak {list(peak)} (class, row, column) lies outside the '
                f'class maps of shape {tuple(maps.shape[1:])}.'
            )
