"""Entry point of `python -m thale`, equivalent to the `thale` command."""

from thale.cli import main

if __name__ == "__main__":
    main()
