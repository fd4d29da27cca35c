"""Export a model to ONNX.

``python tools/deployment/export_onnx.py CONFIG CHECKPOINT OUT.onnx``
"""

import argparse
import contextlib
import inspect
import io
import json
import warnings
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from mmwsl.apis import ToolParser, init_model
from mmwsl.apis.inference import is_segmentor
from mmwsl.models import TransformerBackbone
from mmwsl.models.heads import DensityHead
from mmwsl.utils.config import dataset_config
from mmwsl.utils.files import write_whole

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor, nn

INPUT = 'images'
OUTPUTS = {
    'scores': 'probabilities of the classes, (N, C)',
    'maps': 'class maps before rectification, (N, C, h, w)',
    'counts': 'numbers of objects, not rounded, (N, C)',
    'density': 'density maps, which sum to the counts, (N, C, h, w)',
    'seg_logits': 'logits of the classes, background first, (N, C + 1, H, W)',
}
TOLERANCE = 1e-4

parser = ToolParser(
    'Export class scores, class maps and counts of a model, or the logits of '
    'a segmentor, to ONNX, and check the file against torch. Instances need '
    'gradients and stay in torch. Needs onnx and onnxruntime'
)
parser.add_argument('config', help='config file')
parser.add_argument('checkpoint', help='checkpoint file')
parser.add_argument('out', type=Path, help='file to write, *.onnx')
parser.option(
    '--size',
    None,
    'size of the images; by default what the test pipeline resizes to, '
    'squares of the short side where it keeps the ratio, or 224 224',
    type=int,
    nargs=2,
    metavar=('HEIGHT', 'WIDTH'),
)
parser.option(
    '--fixed',
    False,
    'fix the size and one image a batch; by default they are free if the '
    'model allows it',
)
parser.option('--opset', 17, 'version of ONNX')
parser.cfg_options()


class ExportedClassifier(nn.Module):
    """What a WSLClassifier predicts of one view, without gradients."""

    def __init__(self, model: BaseModel) -> None:
        super().__init__()
        self.model = model
        counting = isinstance(model.head, DensityHead)
        self.names = ['scores', 'maps', *(['counts', 'density'] * counting)]

    def forward(self, images: Tensor) -> Tuple[Tensor, ...]:
        """Return the outputs that ``names`` lists."""
        head = self.model.head
        maps = head.view_maps(self.model.extract_feat(images)).float()
        density: List[Tensor] = []
        if 'density' in self.names:
            maps, values = maps.chunk(2, dim=1)
            if head.count_reduction == 'mean':
                values = values / (values.shape[2] * values.shape[3])
            density = [values.sum(dim=(2, 3)), values]
        scored, shown = head.split_view(maps)
        return (head.activate(head.scores(scored)), shown, *density)


class ExportedSegmentor(nn.Module):
    """The logits of a segmentor, at the size of its input."""

    names = ('seg_logits',)

    def __init__(self, model: BaseModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tuple[Tensor]:
        """Return logits (N, C + 1, H, W)."""
        logits = self.model.decode_head(self.model.extract_feat(images))
        size = images.shape[2:]
        return (
            nn.functional.interpolate(
                logits,
                size=size,
                mode='bilinear',
                align_corners=self.model.align_corners,
            ),
        )


def input_size(cfg: Config) -> Tuple[Tuple[int, int], bool]:
    """Return (height, width) that the test pipeline resizes to.

    Where images keep their ratio, which is said, both are the short side.
    """
    dataset = dataset_config(cfg, 'test')
    for transform in dataset.get('pipeline', ()):
        scale = transform.get('scale')
        if transform['type'].endswith('Resize') and scale:
            if isinstance(scale, int):
                return (scale, scale), False
            if transform.get('keep_ratio'):
                return (min(scale), min(scale)), True
            return (int(scale[1]), int(scale[0])), False
    return (224, 224), False


def describe(model: BaseModel, size: Sequence[int]) -> Dict[str, Any]:
    """Return what a program needs to prepare images and read outputs."""
    prepare = model.data_preprocessor
    normalized = getattr(prepare, '_enable_normalize', False)
    turned = getattr(
        prepare,
        '_channel_conversion',
        getattr(prepare, 'channel_conversion', False),
    )
    mean, std = [0.0] * 3, [1.0] * 3
    if normalized:
        mean = prepare.mean.flatten().tolist()
        std = prepare.std.flatten().tolist()
    content: Dict[str, Any] = dict(
        classes=list((model.dataset_meta or {}).get('classes') or ()),
        input=dict(
            name=INPUT,
            layout='NCHW',
            channels='RGB' if turned else 'BGR',
            size=list(size),
            mean=mean,
            std=std,
        ),
    )
    if is_segmentor(model):
        return dict(task='segmentation', **content)
    head = model.head
    return dict(
        task='weakly supervised localisation',
        **content,
        multi_label=head.multi_label,
        thresholds=dict(
            score=head.score_threshold,
            background=head.background,
            background_value=head.background_value,
        ),
    )


def write_onnx(
    module: nn.Module, images: Tensor, free: bool, opset: int
) -> bytes:
    """Return the ONNX file of a module as bytes."""
    axes: Dict[str, Dict[int, str]] = {}
    if free:
        axes = {name: {0: 'N'} for name in (INPUT, *module.names)}
        axes[INPUT].update({2: 'H', 3: 'W'})
        for name in set(module.names) & {'maps', 'density'}:
            axes[name].update({2: 'h', 3: 'w'})
        if 'seg_logits' in axes:
            axes['seg_logits'].update({2: 'H', 3: 'W'})
    else:
        for part in module.modules():
            if isinstance(part, TransformerBackbone):
                part.fix_size(images.shape[2:])
    options: Dict[str, Any] = dict(
        input_names=[INPUT],
        output_names=list(module.names),
        dynamic_axes=axes,
        opset_version=opset,
    )
    if 'dynamo' in inspect.signature(torch.onnx.export).parameters:
        # The other exporter needs one more package, and fixes sizes.
        options['dynamo'] = False
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter('ignore')
        with contextlib.redirect_stdout(io.StringIO()):
            torch.onnx.export(module, (images,), file, **options)
    return file.getvalue()


def largest_difference(
    session: Any, module: nn.Module, images: Tensor
) -> float:
    """Return how far ONNX is from torch, relative to values above 1."""
    with torch.no_grad():
        expected = module(images)
    found = session.run(None, {INPUT: images.numpy()})
    worst = 0.0
    for name, one, other in zip(module.names, expected, found):
        values = one.numpy()
        if values.shape != other.shape:
            raise ValueError(
                f'{name}: ONNX gives the shape {other.shape}, torch '
                f'{values.shape}.'
            )
        gap = np.abs(values - other) / np.maximum(np.abs(values), 1)
        worst = max(worst, float(gap.max(initial=0)))
    return worst


def check(
    content: bytes, module: nn.Module, size: Sequence[int], free: bool
) -> float:
    """Compare ONNX with torch; other sizes and batches too if ``free``."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        content, providers=['CPUExecutionProvider']
    )
    height, width = size
    shapes = [(1, height, width)]
    if free:
        shapes += [(2, height, width), (1, height + 64, max(width - 32, 64))]
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for number, *shape in shapes:
        images = torch.randn(number, 3, *shape, generator=generator)
        gap = largest_difference(session, module, images)
        if not gap <= TOLERANCE:
            raise ValueError(
                f'ONNX differs from torch by {gap:.1g} for {number} images '
                f'of {shape[0]} x {shape[1]}.'
            )
        worst = max(worst, gap)
    return worst


@parser.command
def main(args: argparse.Namespace) -> None:
    """Write the ONNX file and, beside it, what it needs as JSON."""
    if args.out.suffix != '.onnx':
        raise ValueError(
            f'{args.out}: the name of the file must end in .onnx.'
        )
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f'{error.name} is not installed: pip install mmwsl[onnx].'
        ) from error
    model = init_model(
        args.config, args.checkpoint, 'cpu', args.cfg_options
    ).float()
    size, keeps = input_size(model.cfg)
    size = tuple(args.size or size)
    if min(size) < 1:
        raise ValueError(f'--size: expected positive numbers, got {size}.')
    kind = ExportedSegmentor if is_segmentor(model) else ExportedClassifier
    module = kind(model).eval()
    images = torch.randn(1, 3, *size)
    free, why = not args.fixed, ''
    if free:
        try:
            content = write_onnx(module, images, True, args.opset)
            gap = check(content, module, size, True)
        # Whatever a model cannot do with free sizes, it may with fixed ones.
        except Exception as error:
            free, why = False, str(error).strip().split('\n')[0]
    if not free:
        content = write_onnx(module, images, False, args.opset)
        gap = check(content, module, size, False)
    described = describe(model, size)
    described['input'].update(free_size=free, keep_ratio=free and keeps)
    described['outputs'] = {name: OUTPUTS[name] for name in module.names}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(str(args.out), content)
    beside = args.out.with_suffix('.json')
    write_whole(str(beside), json.dumps(described, indent=2).encode() + b'\n')
    if why:
        print(f'The size and one image a batch are fixed: {why}')
    print(
        f'{args.out}: {", ".join(module.names)}; equal to torch within '
        f'{gap:.1g}'
    )
    if not is_segmentor(model) and model.head.instances:
        print('Peak responses and instances need gradients: not exported.')


if __name__ == '__main__':
    raise SystemExit(main())
