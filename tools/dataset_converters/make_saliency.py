"""Make saliency maps for a folder of images or for a config's data set.

::

    make_saliency.py data/voc/JPEGImages data/voc/SaliencyMaps
    make_saliency.py CONFIG data/SaliencyMaps --splits train test

writes ``<image id>.png`` for ``LoadSaliency``; in a folder, an image's id is
its path there without suffix. A run that was stopped goes on where it was;
maps of other programs and those made with other settings are refused.
"""

from typing import Optional, Sequence

from mmwsl.apis import friendly_errors
from mmwsl.apis.image_files import make_files, making_parser
from mmwsl.saliency import SaliencyGenerator, read_settings, write_saliency
from mmwsl.utils.images import image_size

import numpy as np


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Make the maps and say how many."""
    parser = making_parser('Make saliency maps', '.png', ['train'])
    parser.add_argument('--num-superpixels', type=int, default=300)
    args = parser.parse_args(argv)
    with friendly_errors():
        generator = SaliencyGenerator(args.num_superpixels)

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
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
