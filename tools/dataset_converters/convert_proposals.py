"""Convert object proposals between file formats.

``python tools/dataset_converters/convert_proposals.py MCG-mats data/proposals
--to .npz`` reads and writes one file an image; ``.json`` names instead of
folders are COCO's lists of the proposals of all images.
"""

import argparse
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from mmwsl.apis import ToolParser, friendly_errors
from mmwsl.datasets.files import files_by_id
from mmwsl.proposals import (
    PROPOSAL_SUFFIXES,
    WRITTEN_SUFFIXES,
    ProposalList,
    images_of,
    read_proposals,
    write_proposal_list,
    write_proposals,
)
from mmwsl.structures import Proposals
from mmwsl.utils.files import join_inside, naming, read_json


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = ToolParser('Convert object proposals between file formats')
    parser.add_argument(
        'source',
        help='folder of <image id>.npz, .npy, .json or .mat files, or one '
        '.json file with the proposals of all images',
    )
    parser.add_argument(
        'target', help='folder to write, or one .json file for all images'
    )
    parser.add_argument(
        '--to',
        default='.npz',
        choices=WRITTEN_SUFFIXES,
        help='what to write into a folder; .npy keeps no scores',
    )
    parser.add_argument(
        '--max-proposals', type=int, help='how many of the best to keep'
    )
    parser.add_argument(
        '--images',
        help="COCO annotation file whose images' ids a list of all images "
        'uses; their file names without suffix become the image ids',
    )
    args = parser.parse_args(argv)
    if args.max_proposals is not None and args.max_proposals < 1:
        parser.error('--max-proposals must be at least 1')
    return args


def read_all(args: argparse.Namespace) -> Iterator[Tuple[str, Proposals]]:
    """Yield the id and the proposals of each image."""
    if args.source.endswith('.json'):
        images: Optional[List[Dict[str, object]]] = None
        if args.images:
            content = read_json(args.images, 'COCO annotation file')
            images = images_of(content, args.images)
        found = ProposalList(args.source, images)
        for img_id in found.img_ids:
            yield img_id, found.read(img_id)[: args.max_proposals]
        return
    for img_id, path in files_by_id(args.source, PROPOSAL_SUFFIXES).items():
        yield img_id, read_proposals(path)[: args.max_proposals]


def convert(args: argparse.Namespace) -> int:
    """Convert all images and return how many."""
    if args.target.endswith('.json'):
        proposals = dict(read_all(args))
        write_proposal_list(args.target, proposals)
        return len(proposals)
    number = 0
    for img_id, masks in read_all(args):
        with naming(args.source):
            path = join_inside(args.target, img_id, args.to)
        write_proposals(path, masks)
        number += 1
    return number


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Convert and say how many images."""
    args = parse_args(argv)
    with friendly_errors():
        number = convert(args)
    print(f'{args.target}: proposals of {number} images')
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
