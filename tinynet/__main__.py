"""The command line: python -m tinynet <command>."""

import argparse
import sys

from tinynet import doctor


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tinynet")
    commands = parser.add_subparsers(required=True, metavar="command")
    commands.add_parser("doctor", help=doctor.__doc__).set_defaults(run=doctor.main)
    return parser.parse_args(arguments).run()


if __name__ == "__main__":
    sys.exit(main())
