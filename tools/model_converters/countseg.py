"""Convert a checkpoint of CountSeg, which is LC; see docs/peers.md."""

import argparse

from mmwsl.apis.peers import convert_file, peer_parser

parser = peer_parser('countseg')


@parser.command
def main(args: argparse.Namespace) -> None:
    """Convert, and say what went where."""
    print(convert_file('countseg', args))


if __name__ == '__main__':
    raise SystemExit(main())
