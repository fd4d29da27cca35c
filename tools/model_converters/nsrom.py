"""Convert a checkpoint of NSROM; see docs/peers.md."""

from mmwsl.apis.peers import peer_command

parser, main = peer_command('nsrom')

if __name__ == '__main__':
    raise SystemExit(main())
