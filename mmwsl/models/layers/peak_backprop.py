"""Peak back-propagation: which pixels made a class map peak.

Peak back-propagation of "Weakly Supervised Instance Segmentation using Class
Peak Response" (https://arxiv.org/abs/1804.00880), section 3.3: a convolution
with input U and weight W passes the probability of its output V on to

    P(U_ij) = sum_pq P(V_pq) U^_ij W+_(i-p)(j-q) Z_pq,

where U^ is U less its minimum over the image, W+ the positive part of W, and
Z_pq normalises the weights of one output to the sum 1. So the rule is a
multiplication by Z, a transposed convolution with W+ and a multiplication by
U^. All other layers pass the plain gradient.

Shape shorthand: N images of (H, W) pixels and K channels, C classes, P peaks,
(h, w) the grid of the class maps; of a convolution K input and L output
channels, (H, W) the grid of its input and (h, w) that of its output.
"""

import sys
from contextlib import ExitStack, contextmanager, nullcontext
from typing import (
    Any,
    ContextManager,
    Dict,
    Iterator,
    List,
    MutableMapping,
    Optional,
    Sequence,
    Tuple,
    Type,
)

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

# Sums of weights below this one pass nothing.
SMALLEST_SUM = 1e-10

# Devices on which one peak after the other goes down, with its windows; on
# others finding these would cost more than it saves.
ONE_BY_ONE = ('cpu',)

# Each value depends on one value of the input.
_ELEMENTWISE = (F.batch_norm, F.relu, F.leaky_relu, F.relu6, F.hardtanh)
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
    with torch.enable_grad(), TopDownMode(image, names):
        # Layers may work in place, which a leaf does not allow.
        maps = model(image.clone())
    _check_maps(maps, peaks)
    _check_graph(maps)
    step = size or max(1, _BUDGET // (_CHANNELS * image[0, 0].numel()))
    if image.device.type in ONE_BY_ONE:
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


class Crop(Tensor):
    """A gradient that is zero outside a window, of which it holds that part.

    A peak depends on a part of a map only, a small one in the upper layers.
    It looks to autograd as the whole gradient. The sum of two crops is a
    crop; all other operations see the whole.
    """

    # As for torch's own class: results are not made crops.
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore

    part: Tensor
    top: int
    left: int

    def __new__(
        cls: Type['Crop'], part: Tensor, top: int, left: int, shape: torch.Size
    ) -> 'Crop':
        """Place ``part`` (N, L, a, b) at a row and a column."""
        crop: Crop = Tensor._make_wrapper_subclass(
            cls, shape, dtype=part.dtype, device=part.device
        )
        crop.part, crop.top, crop.left = part, top, left
        return crop

    @classmethod
    def of(cls, grad: Tensor) -> 'Crop':
        """Cut off the zeros around a gradient."""
        if isinstance(grad, Crop):
            return grad
        flat = grad.flatten(0, 1)
        used = (flat.amax(dim=0) != 0) | (flat.amin(dim=0) != 0)
        rows = used.any(dim=1).nonzero()[:, 0].tolist() or [0]
        columns = used.any(dim=0).nonzero()[:, 0].tolist() or [0]
        top, left = rows[0], columns[0]
        part = grad[..., top : rows[-1] + 1, left : columns[-1] + 1]
        return cls(part, top, left, grad.shape)

    @property
    def window(self) -> Tuple[Any, ...]:
        """Return where the part lies, as an index."""
        return _window(self.part, self.top, self.left)

    def whole(self) -> Tensor:
        """Return the gradient as an ordinary tensor."""
        result = self.part.new_zeros(self.shape)
        result[self.window] = self.part
        return result

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Add crops; do everything else with the whole."""
        crops = all(isinstance(value, Crop) for value in args)
        if func is torch.ops.aten.add.Tensor and crops and not kwargs:
            return _add(*args)
        whole = [v.whole() if isinstance(v, Crop) else v for v in args]
        return func(*whole, **(kwargs or {}))


def _window(part: Tensor, top: int, left: int) -> Tuple[Any, ...]:
    """Return where a part of a map lies, as an index."""
    height, width = part.shape[2:]
    return ..., slice(top, top + height), slice(left, left + width)


def _add(*crops: Crop) -> Crop:
    top, left = (min(c.top for c in crops), min(c.left for c in crops))
    bottom = max(c.top + c.part.shape[2] for c in crops)
    right = max(c.left + c.part.shape[3] for c in crops)
    shape = crops[0].shape
    total = crops[0].part.new_zeros(*shape[:2], bottom - top, right - left)
    for crop in crops:
        place = _window(crop.part, crop.top - top, crop.left - left)
        total[place] += crop.part
    return Crop(total, top, left, shape)


class Passing(torch.autograd.Function):
    """A layer that passes the gradient on to ``base`` in its own way.

    First by ``rule``, if there is one, then times the constant ``factor``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        base: Tensor,
        value: Tensor,
        factor: Tensor,
        rule: Optional['Rule'] = None,
        changed: Optional[Tensor] = None,
    ) -> Tensor:
        """Return ``value``, put into ``changed`` if that is given."""
        ctx.factor, ctx.rule = factor, rule
        name = base.grad_fn.name() if base.grad_fn else ''
        # Others would make a crop whole, or not know how to read it.
        ctx.crops = name in ('AddBackward0', 'PassingBackward')
        # Of what was changed in place nothing comes here any more.
        ctx.set_materialize_grads(False)
        if changed is None:
            return value.detach()
        ctx.mark_dirty(changed)
        return changed.copy_(value)

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        """Pass a gradient down."""
        if grad is None:
            return (None,) * 5
        if ctx.rule is not None:
            grad = ctx.rule(grad, ctx.factor.shape)
        if isinstance(grad, Crop):
            part = grad.part * ctx.factor[grad.window]
            grad = Crop(part, grad.top, grad.left, grad.shape)
            grad = grad if ctx.crops else grad.whole()
        else:
            grad = grad * ctx.factor
        return grad, None, None, None, None


class Rule:
    """The rule of a convolution with W+ and settings, without Z and U^."""

    def __init__(self, positive: Tensor, settings: Dict[str, Any]) -> None:
        self.positive = positive
        self.flipped: Optional[Tensor] = None
        self.stride = _pair(settings['stride'])
        self.dilation = _pair(settings['dilation'])
        self.groups: int = settings['groups']
        # How far a kernel reaches beyond its first tap.
        rows, columns = (
            step * (side - 1)
            for step, side in zip(self.dilation, positive.shape[2:])
        )
        self.reach = rows, columns
        padding = settings['padding']
        if padding == 'same':
            # The odd cell, if there is one, comes behind.
            padding = rows // 2, columns // 2
        self.padding = _pair(0 if padding == 'valid' else padding)

    def __call__(self, grad: Tensor, shape: torch.Size) -> Tensor:
        """Pass (N, L, h, w) on to an input (N, K, H, W)."""
        height, width = shape[2:]
        y, x = -self.padding[0], -self.padding[1]
        if grad.device.type not in ONE_BY_ONE:
            spread = self._spread(grad)
            # Negative margins cut: padding, and what no kernel reaches.
            rows = height - y - spread.shape[-2]
            columns = width - x - spread.shape[-1]
            return F.pad(spread, (x, columns, y, rows))
        crop = Crop.of(grad)
        spread = self._spread(crop.part)
        y, x = y + crop.top * self.stride[0], x + crop.left * self.stride[1]
        spread = spread[..., max(-y, 0) : max(height - y, 0), :]
        spread = spread[..., max(-x, 0) : max(width - x, 0)]
        top, left = min(max(y, 0), height), min(max(x, 0), width)
        return Crop(spread, top, left, shape)

    def _spread(self, values: Tensor) -> Tensor:
        """Convolve values transposed with W+, without padding."""
        settings: Dict[str, Any] = dict(dilation=self.dilation)
        strides, reach, weight = self.stride, self.reach, self.positive
        if values.device.type not in ONE_BY_ONE or self.groups > 1:
            settings.update(stride=strides, groups=self.groups)
            return F.conv_transpose2d(values, weight, **settings)
        pointwise = reach == (0, 0)
        if strides == (1, 1) and not pointwise and values[0, 0].numel() > 32:
            # Torch convolves faster on CPUs than it convolves transposed.
            if self.flipped is None:
                self.flipped = weight.transpose(0, 1).flip(2, 3)
            return F.conv2d(values, self.flipped, padding=reach, **settings)
        # A folded product of matrices is faster for strides and few cells.
        product = (weight.flatten(1).t() @ values[0].flatten(1))[None]
        if strides == (1, 1) and pointwise:
            return product.unflatten(2, values.shape[2:])
        rows, columns = (
            (cells - 1) * stride + beyond + 1
            for cells, stride, beyond in zip(values.shape[2:], strides, reach)
        )
        settings.update(stride=strides, kernel_size=tuple(weight.shape[2:]))
        return F.fold(product, (rows, columns), **settings)


def _pair(value: Any) -> Tuple[int, int]:
    if isinstance(value, int):
        return value, value
    rows, columns = value if len(value) == 2 else (value[0], value[0])
    return rows, columns


class TopDownMode(TorchFunctionMode):
    """Inside, every 2-d convolution passes gradients by the top-down rule.

    However they are called, by modules or as functions. It holds for the
    thread that enters it and changes no module. Only what depends on
    ``image`` is recorded by autograd, and nothing is computed in half
    precision.

    Layers such as ReLU multiply the gradient by constants, as Z and U^ do.
    Where some follow on each other, that is done once for all peaks.

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
        # The version and U^ of a padded tensor.
        self._padded: MutableMapping[Tensor, Tuple[int, Tensor]]
        self._padded = WeakIdKeyDictionary()
        # What the gradient of a tensor comes from: that of a base times a
        # factor. Before them, the versions for which this holds.
        self._sources: MutableMapping[Tensor, Tuple[int, int, Tensor, Tensor]]
        self._sources = WeakIdKeyDictionary()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call ``func`` in its stead."""
        kwargs = kwargs or {}
        if func.__name__.startswith('conv') and func is not F.conv2d:
            weight = kwargs.get('weight', args[1] if len(args) > 1 else None)
            name = self.names.get(id(weight), 'a layer without a name')
            raise TypeError(
                f'{name}: peak back-propagation goes through 2-d convolutions '
                f'only, not through {func.__name__}.'
            )
        args = [self._plain(value) for value in args]
        kwargs = {key: self._plain(value) for key, value in kwargs.items()}
        # A model may switch autocast on by itself.
        with torch.autocast(self.image.device.type, enabled=False):
            if func is F.conv2d:
                return self._conv2d(*args, **kwargs)
            training = kwargs.get('training', False)
            if func in _ELEMENTWISE and _is_traced(args[0]) and not training:
                return self._elementwise(func, *args, **kwargs)
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
        self, input: Tensor, weight: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor:
        defaults = dict(bias=None, stride=1, padding=0, dilation=1, groups=1)
        settings: Dict[str, Any] = {**defaults, **kwargs}
        settings.update(zip(defaults, args))
        bias = settings.pop('bias')
        if not _is_traced(input):
            return F.conv2d(input, weight, bias, **settings)
        base, factor = self._source(input)
        with torch.no_grad():
            value = F.conv2d(input, weight, bias, **settings)
            version, shifted = self._padded.get(input, (-1, input))
            if version != input._version:
                shifted = _shift(input)
            positive = weight.clamp(min=0)
            total = F.conv2d(shifted, positive, None, **settings)
            inverse = torch.threshold_(total, SMALLEST_SUM, float('inf'))
            inverse = inverse.reciprocal_()
            if factor is not None:
                shifted = shifted * factor
        base = Passing.apply(base, value, shifted, Rule(positive, settings))
        return self._scale(base, value, inverse)

    def _elementwise(
        self, func: Any, input: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor:
        inplace = kwargs.pop('inplace', False)
        if inplace and input._is_view():
            return func(input, *args, inplace=True, **kwargs)
        base, factor = self._source(input)
        leaf = input.detach().requires_grad_()
        value = func(leaf, *args, **kwargs)
        (slope,) = torch.autograd.grad(value, leaf, torch.ones_like(value))
        if factor is not None:
            slope = slope.mul_(factor)
        changed = input if inplace else None
        return self._scale(base, value.detach(), slope, None, changed)

    def _source(self, input: Tensor) -> Tuple[Tensor, Optional[Tensor]]:
        """Return the base and the factor of a tensor, if need be itself."""
        version, below, base, factor = self._sources.get(
            input, (-1, -1, input, input)
        )
        if (version, below) != (input._version, base._version):
            return input, None
        return base, factor

    def _scale(self, base: Tensor, *args: Any) -> Tensor:
        result: Tensor = Passing.apply(base, *args)
        # Otherwise the base was changed in place.
        if result is not base:
            versions = result._version, base._version
            self._sources[result] = (*versions, base, args[1])
        return result

    def _note_padding(
        self, result: Tensor, input: Tensor, pad: Any, *args: Any, **kw: Any
    ) -> None:
        kw.update(zip(('mode', 'value'), args))
        zeros = kw.get('mode', 'constant') == 'constant'
        zeros = zeros and not kw.get('value') and min(pad, default=0) >= 0
        if zeros and _is_traced(input):
            with torch.no_grad():
                shifted = F.pad(_shift(input), pad)
            self._padded[result] = (result._version, shifted)


def _is_traced(inputs: Tensor) -> bool:
    traced = inputs.requires_grad and torch.is_grad_enabled()
    return traced and inputs.dim() == 4


def _shift(inputs: Tensor) -> Tensor:
    """Return U^ (N, K, H, W), U less the minimum of each image."""
    return inputs - inputs.amin(dim=(1, 2, 3), keepdim=True)
