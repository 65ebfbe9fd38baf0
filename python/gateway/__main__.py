"""`python -m gateway` is `maskgate`."""

from gateway.cli import main

if __name__ == "__main__":
    main()
