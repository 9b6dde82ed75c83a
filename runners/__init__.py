"""Programs that train, evaluate, export and compare models: `python -m runners.<name> --help`."""

from . import startup as startup
