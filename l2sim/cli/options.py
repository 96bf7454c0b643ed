"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Files = Annotated[list[Path], typer.Argument(metavar="FILE", help="Scenario files.", show_default=False)]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change a value, such as agents.keepers.count=5; may be repeated.")
]
Out = Annotated[Path, typer.Option(help="Folder for the results.")]
Jobs = Annotated[int | None, typer.Option(help="How many cores to use.", min=1, show_default="all")]
Pdf = Annotated[bool, typer.Option("--pdf", help="Write the report as PDF, too.")]
