"""Turn a classifier that exists into a model of class activation maps.

``python tools/model_converters/from_classifier.py ARCH WEIGHTS OUT.pth``
writes OUT.pth and, beside it, its config OUT.py. Nothing is trained.
"""

import argparse
from pathlib import Path
from typing import Optional, Sequence

from mmwsl.apis import ToolParser, friendly_errors
from mmwsl.apis.classifiers import (
    check_checkpoint,
    convert_classifier,
    save_model,
)


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser(
        description='Turn a classifier that exists into a model of class '
        'activation maps, without training: the linear layer becomes a 1x1 '
        'convolution, which is checked. OUT.pth and its config OUT.py go '
        'into all other commands'
    )
    parser.add_argument(
        'arch', help="torchvision's name of the network, or timm/NAME"
    )
    parser.add_argument(
        'weights', help='file or URL of its weights, with the classifier'
    )
    parser.add_argument('out', type=Path, help='checkpoint to write, *.pth')
    parser.add_argument(
        '--classes',
        help="text file with the names of the classes, one a line; ImageNet's "
        'if there are 1000',
    )
    parser.add_argument(
        '--multi-label',
        action='store_true',
        help='the classifier has a sigmoid for each class, not a softmax',
    )
    parser.add_argument(
        '--output-stride',
        type=int,
        help="largest stride of the maps, 8 or 16; by default the network's",
    )
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Convert, and say how to go on."""
    args = parse_args(argv)
    with friendly_errors():
        check_checkpoint(args.out)
        cfg, checkpoint = convert_classifier(
            args.arch,
            args.weights,
            args.classes,
            args.multi_label,
            args.output_stride,
        )
        config = save_model(cfg, checkpoint, args.out)
    number = cfg.model.head.num_classes
    print(
        f'{args.out}: {args.arch} with {number} classes; the means of its '
        'class maps are its logits.\nSee: python tools/image_demo.py '
        f'PHOTOS {config} {args.out}'
    )
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
