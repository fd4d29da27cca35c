"""Turn a classifier that exists into a model of class activation maps.

``python tools/model_converters/from_classifier.py ARCH WEIGHTS OUT.pth``
writes OUT.pth and, beside it, its config OUT.py. Nothing is trained.
"""

import argparse
from pathlib import Path

from mmwsl.apis import ToolParser
from mmwsl.apis.classifiers import (
    check_checkpoint,
    convert_classifier,
    save_model,
)

parser = ToolParser(
    'Turn a classifier that exists into a model of class activation maps, '
    'without training: the linear layer becomes a 1x1 convolution, which is '
    'checked. OUT.pth and its config OUT.py go into all other commands'
)
text = "torchvision's name of the network, or timm/NAME"
parser.add_argument('arch', help=text)
text = 'file or URL of its weights, with the classifier'
parser.add_argument('weights', help=text)
parser.add_argument('out', type=Path, help='checkpoint to write, *.pth')
parser.option(
    '--classes',
    None,
    "text file with the names of the classes, one a line; ImageNet's if there "
    'are 1000',
)
text = 'the classifier has a sigmoid for each class, not a softmax'
parser.option('--multi-label', False, text)
text = "largest stride of the maps, 8 or 16; by default the network's"
parser.option('--output-stride', None, text, type=int)


@parser.command
def main(args: argparse.Namespace) -> None:
    """Convert, and say how to go on."""
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


if __name__ == '__main__':
    raise SystemExit(main())
