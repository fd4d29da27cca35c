"""What AttentionAccumulationHook needs of a training pipeline."""

from typing import Any, Iterator, List, Sequence, Tuple

# Parts of names of transforms after which a map no longer lies on its image.
# Flips are undone if samples say so.
_MOVING = (
    'crop',
    'affine',
    'rotate',
    'perspective',
    'shear',
    'translate',
    'expand',
    'mosaic',
    'mixup',
    'cutmix',
    'pad',
)


def check_pipeline(dataset: Any) -> None:
    """Refuse transforms that move the picture without a trace."""
    transforms = list(_flat([getattr(dataset, 'pipeline', None)]))
    names = [type(transform).__name__ for transform in transforms]
    for name in names:
        if any(part in name.lower() for part in _MOVING):
            raise ValueError(
                f'AttentionAccumulationHook: {name} in the training '
                'pipeline moves the picture in its frame, so that the maps '
                'of different epochs would not fit together; resize to one '
                'size instead.'
            )
    told: Sequence[str] = ()
    for transform in transforms:
        told = getattr(transform, 'meta_keys', told)
    flips: List[str] = [name for name in names if 'flip' in name.lower()]
    if flips and 'flip_direction' not in told:
        raise ValueError(
            f'AttentionAccumulationHook: {flips[0]} in the training pipeline '
            'can be undone only if PackWSLInputs has flip_direction among '
            'its meta_keys.'
        )
    if len(flips) > 1:
        raise ValueError(
            f'AttentionAccumulationHook: {flips[1]} in the training pipeline '
            'hides what the flip before it did; flip once, in one of several '
            'directions.'
        )


def _flat(transforms: Sequence[Any]) -> Iterator[Any]:
    """Yield transforms and those inside them, as RandomApply has them."""
    for transform in transforms:
        yield transform
        inner = getattr(transform, 'transforms', ())
        yield from _flat(getattr(inner, 'transforms', inner))


def check_sizes(inputs: Any, samples: Sequence[Any]) -> None:
    """Refuse batches whose images would be padded."""
    shapes: List[Tuple[int, ...]] = [tuple(x.shape[-2:]) for x in inputs]
    for sample, shape in zip(samples, shapes):
        if shape != shapes[0]:
            raise ValueError(
                f'{sample.img_id}: the input is {shape[1]} x {shape[0]} '
                f'pixels, but another one of the batch {shapes[0][1]} x '
                f'{shapes[0][0]}; AttentionAccumulationHook needs inputs of '
                'one size: use Resize without keep_ratio.'
            )
