"""Make saliency maps for a folder of images or for a config's data set.

::

    make_saliency.py data/voc/JPEGImages data/voc/SaliencyMaps
    make_saliency.py CONFIG data/SaliencyMaps --splits train test

writes ``<image id>.png`` for ``LoadSaliency``; in a folder, an image's id is
its path there without suffix. A run that was stopped goes on where it was;
maps of other programs and those made with other settings are refused. With
``--onnx FILE`` a network makes them.
"""

import argparse
from typing import Union

from mmwsl.apis.image_files import make_files, making_parser
from mmwsl.saliency import (
    NetworkSaliency,
    SaliencyGenerator,
    read_settings,
    write_saliency,
)
from mmwsl.saliency.network import FAMILIES
from mmwsl.utils.images import image_size

import numpy as np

NETWORK_OPTIONS = ('family', 'size', 'mean', 'std')

parser = making_parser(__doc__, '.png', ['train'])
text = 'of the generator without a network, by default 300'
parser.option('--num-superpixels', None, text, type=int)
text = 'network that makes the maps, none by default'
parser.option('--onnx', '', text, metavar='FILE')
parser.option(
    '--family',
    None,
    "how the network's images are prepared; by default as the size of its "
    'input says, 320 for u2net and 1024 for isnet',
    choices=FAMILIES,
)
text = "side of its input, by default the family's"
parser.option('--size', None, text, type=int)
for name in ('mean', 'std'):
    text = f"{name} of RGB in [0, 1], by default the family's"
    shown = ('R', 'G', 'B')
    parser.option(f'--{name}', None, text, type=float, nargs=3, metavar=shown)


@parser.command
def main(args: argparse.Namespace) -> None:
    """Make the maps and say how many."""
    given = {key: getattr(args, key) for key in NETWORK_OPTIONS}
    given = {key: value for key, value in given.items() if value is not None}
    if not args.onnx and given:
        parser.error(f'--{", --".join(given)}: only with --onnx FILE')
    if args.onnx and args.num_superpixels is not None:
        parser.error('--num-superpixels: only without --onnx')
    generator: Union[NetworkSaliency, SaliencyGenerator]
    if not args.onnx:
        generator = SaliencyGenerator(args.num_superpixels or 300)
    else:
        generator = NetworkSaliency(args.onnx, **given)

    def write(path: str, img: np.ndarray) -> None:
        write_saliency(path, generator(img), generator.settings)

    make_files(
        args,
        'maps',
        suffix='.png',
        settings=generator.settings,
        write=write,
        read_settings=read_settings,
        read_size=image_size,
    )


if __name__ == '__main__':
    raise SystemExit(main())
