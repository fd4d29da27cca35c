"""Convert a checkpoint of wsolevaluation; see docs/peers.md."""

import argparse

from mmwsl.apis.peers import convert_file, peer_parser

parser = peer_parser('wsolevaluation')


@parser.command
def main(args: argparse.Namespace) -> None:
    """Convert, and say what went where."""
    print(convert_file('wsolevaluation', args))


if __name__ == '__main__':
    raise SystemExit(main())
