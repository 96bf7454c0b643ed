"""``python -m l2sim``: the command line, also where the ``l2sim`` script is not on the path."""

from l2sim.cli import app

app()
