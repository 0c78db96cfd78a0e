"""Entry of the shim: `python <shim folder> zygote|probe|secret`.

The Rust side unpacks this folder and runs it as a script, so nothing of it is ever installed
into the user's environment.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the part named by the first argument."""
    part = " ".join(sys.argv[1:])
    if part == "zygote":
        from updraft_shim import zygote

        zygote.main()
    elif part == "probe":
        from updraft_shim import probe

        probe.main()
    elif part == "secret":
        from updraft_shim import secret

        secret.main()
    else:
        sys.exit(f"expected `zygote`, `probe` or `secret`, found `{part}`")


if __name__ == "__main__":
    main()
