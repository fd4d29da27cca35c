"""Make object proposals for a config's data set or for a folder of images.

::

    make_proposals.py CONFIG data/proposals
    make_proposals.py data/voc/JPEGImages data/proposals

writes ``<image id>.npz`` for ``LoadProposals``; in a folder, an image's id is
its path there without suffix. A run that was stopped goes on where it was;
files made with other settings are refused.
"""

import argparse

from mmwsl.apis.image_files import make_files, making_parser
from mmwsl.proposals import (
    ProposalGenerator,
    read_parameters,
    read_proposals,
    write_proposals,
)

import numpy as np

# Prediction needs those of the test set alone.
parser = making_parser(__doc__, '.npz', ['test'])
parser.option('--max-proposals', 200)
parser.option('--num-superpixels', 300)


@parser.command
def main(args: argparse.Namespace) -> None:
    """Make the files and say how many."""
    generator = ProposalGenerator(args.max_proposals, args.num_superpixels)

    def write(path: str, img: np.ndarray) -> None:
        write_proposals(path, generator(img), generator.parameters)

    make_files(
        args,
        'files',
        suffix='.npz',
        settings=generator.parameters,
        write=write,
        read_settings=read_parameters,
        read_size=lambda path: read_proposals(path).size,
    )


if __name__ == '__main__':
    raise SystemExit(main())
