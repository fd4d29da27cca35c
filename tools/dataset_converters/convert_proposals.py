"""Convert object proposals between file formats.

``python tools/dataset_converters/convert_proposals.py MCG-mats data/proposals
--to .npz`` reads and writes one file an image; ``.json`` names instead of
folders are COCO's lists of the proposals of all images.
"""

import argparse
from typing import Dict, Iterator, List, Optional, Tuple

from mmwsl.apis import ToolParser
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

parser = ToolParser('Convert object proposals between file formats')
parser.add_argument(
    'source',
    help='folder of <image id>.npz, .npy, .json or .mat files, or one .json '
    'file with the proposals of all images',
)
text = 'folder to write, or one .json file for all images'
parser.add_argument('target', help=text)
parser.option(
    '--to',
    '.npz',
    'what to write into a folder; .npy keeps no scores',
    choices=WRITTEN_SUFFIXES,
)
text = 'how many of the best to keep'
parser.option('--max-proposals', None, text, type=int)
parser.option(
    '--images',
    None,
    "COCO annotation file whose images' ids a list of all images uses; their "
    'file names without suffix become the image ids',
)


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


@parser.command
def main(args: argparse.Namespace) -> None:
    """Convert and say how many images."""
    if args.max_proposals is not None and args.max_proposals < 1:
        parser.error('--max-proposals must be at least 1')
    if args.target.endswith('.json'):
        proposals = dict(read_all(args))
        write_proposal_list(args.target, proposals)
        number = len(proposals)
    else:
        number = 0
        for img_id, masks in read_all(args):
            with naming(args.source):
                path = join_inside(args.target, img_id, args.to)
            write_proposals(path, masks)
            number += 1
    print(f'{args.target}: proposals of {number} images')


if __name__ == '__main__':
    raise SystemExit(main())
