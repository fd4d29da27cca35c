"""Convert a checkpoint of PRM; see docs/peers.md."""

from typing import Optional, Sequence

from mmwsl.apis.peers import convert_command


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Convert, and say what went where."""
    print(convert_command('prm', argv))
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
