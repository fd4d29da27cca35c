"""Convert a checkpoint of CountSeg, which is LC; see docs/peers.md."""

from mmwsl.apis.peers import peer_command

parser, main = peer_command('countseg')

if __name__ == '__main__':
    raise SystemExit(main())
