"""`python -m edgevae`: the command line, as torchrun starts it."""

from edgevae.cli import main

main()
