"""Run the command line as ``python -m fluxbase_cli``."""

from fluxbase_cli.cli.app import main

if __name__ == "__main__":
    main()
