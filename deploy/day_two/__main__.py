"""`python -m deploy.day_two`."""

from deploy.day_two.cli import main

if __name__ == "__main__":
    main()
