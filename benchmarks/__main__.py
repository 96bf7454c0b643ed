"""Run benchmarks by name, or all of them: ``python -m benchmarks [NAME…]``."""

import sys
from importlib import import_module

NAMES = ("quiet_day", "day", "year", "memory", "growth", "studies", "compression")


def main(names: list[str]) -> int:
    for name in names or NAMES:
        if name not in NAMES:
            print(f"there is no benchmark '{name}'; known are: {', '.join(NAMES)}", file=sys.stderr)
            return 2
        print(f"== {name}")
        import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
