"""`python -m thale` is `thale`."""

from thale.cli import main

if __name__ == "__main__":
    main()
