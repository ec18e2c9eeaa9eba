"""`python -m jhe_server` is `jupyter jhe`."""

from .app import main

main()
