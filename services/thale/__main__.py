"""Entry point of `python -m thale`, equivalent to the `thale` command."""

from thale.host.interpreter import exclude_current_folder

if __name__ == "__main__":
    exclude_current_folder()
    from thale.cli import main

    main()
