"""What counts ask of pipelines: they are sums over whole images."""

from typing import Any, Iterator, Mapping

# Parts of names of transforms that lose or double parts of an image.
_CUTTING = ('crop', 'mosaic', 'mixup', 'cutmix', 'affine', 'translate')


def check_counting(cfg: Mapping[str, Any]) -> None:
    """Refuse transforms that change counts, and sizes that differ.

    Args:
        cfg: Config of the run.

    Raises:
        ValueError: Naming the transform, or both sizes.
    """
    train = list(_transforms(cfg.get('train_dataloader')))
    for transform in train:
        name = str(transform.get('type'))
        if any(part in name.lower() for part in _CUTTING):
            raise ValueError(
                f'train_dataloader: {name} shows parts of images, whose '
                'counts are those of whole images; use Resize.'
            )
    if not train:
        return
    for key in ('val_dataloader', 'test_dataloader'):
        other = list(_transforms(cfg.get(key)))
        if other and _size(other) != _size(train):
            raise ValueError(
                f'{key}: images of {_size(other)}, but those of '
                f'train_dataloader are of {_size(train)}; counts grow with '
                'the size, so give Resize the same scale in both.'
            )


def _transforms(node: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the transforms in the config of a data loader."""
    if isinstance(node, (list, tuple)):
        for item in node:
            yield from _transforms(item)
    elif isinstance(node, Mapping):
        for key in ('dataset', 'datasets'):
            yield from _transforms(node.get(key))
        for item in node.get('pipeline') or ():
            yield item
            for inner in item.get('transforms') or ():
                yield from _transforms(dict(pipeline=[inner]))


def _size(transforms: Any) -> str:
    """Describe the size that the last resizing gives."""
    for transform in reversed(transforms):
        scale = transform.get('scale')
        if 'Resize' in str(transform.get('type')) and scale is not None:
            pair = (scale, scale) if isinstance(scale, int) else scale
            kept = ', ratio kept' if transform.get('keep_ratio') else ''
            return ' x '.join(map(str, pair)) + kept
    return 'their own size'
