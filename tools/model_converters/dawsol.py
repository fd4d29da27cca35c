"""Convert a checkpoint of DA-WSOL; see docs/peers.md."""

from mmwsl.apis.peers import peer_command

parser, main = peer_command('dawsol')

if __name__ == '__main__':
    raise SystemExit(main())
