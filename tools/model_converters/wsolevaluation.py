"""Convert a checkpoint of wsolevaluation; see docs/peers.md."""

from mmwsl.apis.peers import peer_command

parser, main = peer_command('wsolevaluation')

if __name__ == '__main__':
    raise SystemExit(main())
