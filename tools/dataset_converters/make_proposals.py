"""Make object proposals for a config's data set or for a folder of images.

::

    make_proposals.py CONFIG data/proposals
    make_proposals.py data/voc/JPEGImages data/proposals

writes ``<image id>.npz`` for ``LoadProposals``; in a folder, an image's id is
its path there without suffix. A run that was stopped goes on where it was;
files made with other settings are refused. ``--edges`` takes the edges that a
network found, which make better proposals, from pictures.
"""

import argparse
import os

from mmwsl.apis.image_files import make_files, making_parser
from mmwsl.proposals import (
    ProposalGenerator,
    read_parameters,
    read_proposals,
    write_proposals,
)
from mmwsl.utils.files import join_inside
from mmwsl.utils.images import read_image

import numpy as np

# Prediction needs those of the test set alone.
parser = making_parser(__doc__, '.npz', ['test'])
parser.option('--max-proposals', 200)
parser.option('--num-superpixels', 300)
text = 'folder of grey pictures <image id>.png, white where an edge is'
parser.option('--edges', '', text, metavar='FOLDER')


@parser.command
def main(args: argparse.Namespace) -> None:
    """Make the files and say how many."""
    generator = ProposalGenerator(args.max_proposals, args.num_superpixels)
    settings = generator.parameters
    if args.edges:
        settings['generator'] += ', edges of a network'

    def write(path: str, img: np.ndarray) -> None:
        edges = None
        if args.edges:
            img_id, _ = os.path.splitext(os.path.relpath(path, args.folder))
            picture = join_inside(args.edges, img_id, '.png', links=True)
            edges = read_image(picture, False, 'edge map')[..., 0] / 255
        write_proposals(path, generator(img, edges), settings)

    make_files(
        args,
        'files',
        suffix='.npz',
        settings=settings,
        write=write,
        read_settings=read_parameters,
        read_size=lambda path: read_proposals(path).size,
    )


if __name__ == '__main__':
    raise SystemExit(main())
