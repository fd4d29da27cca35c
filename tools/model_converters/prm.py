"""Convert a checkpoint of PRM; see docs/peers.md."""

from mmwsl.apis.peers import peer_command

parser, main = peer_command('prm')

if __name__ == '__main__':
    raise SystemExit(main())
