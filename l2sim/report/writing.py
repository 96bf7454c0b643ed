"""Writing: a report as a page, as text with pictures, as data and as a PDF, byte for byte the same when written again.

::

    report.html           everything in one file that opens anywhere
    report.md             the same figures and tables for a forum or a repository
    report.pdf            the page on paper, where it is asked for
    figures/<name>.svg    is inside the page; figures/<name>.png beside it, figures/<name>.csv its data
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2sim.report.document import Document
from l2sim.results import OutputError, Run
from l2sim.results.folder import write_file, writing

if TYPE_CHECKING:
    from jinja2 import Environment

    from l2sim.results.comparison import Comparison
    from l2sim.study.findings import Findings

PAGE, TEXT, PAPER, FIGURES = "report.html", "report.md", "report.pdf", "figures"
_HERE = Path(__file__).parent


def write_report(place: "Run | Findings | Comparison | str | Path", pdf: bool = False) -> Path:
    """Write the report of a run, of a study or of two runs beside each other; the path of the page.

    Args:
        place: a run, the findings of a study, a comparison of two runs, or the folder of one of them.
        pdf: whether to write ``report.pdf`` as well; needs the extra ``pdf``.

    Raises:
        RunNotFound: there is nothing in that folder to report on.
        OutputError: the folder cannot be written, or what makes a PDF is not installed.
    """
    if pdf:
        _weasyprint()
    folder, document = _document(place)
    return write(document, folder, pdf=pdf)


def _document(place: "Run | Findings | Comparison | str | Path") -> tuple[Path, Document]:
    if isinstance(place, str | Path) and not (Path(place) / "study.yaml").is_file():
        place = Run.load(place)
    if isinstance(place, Run):
        from l2sim.report import page

        return place.path, page.document(place)
    from l2sim.study.findings import Findings

    if isinstance(place, str | Path):
        place = Findings.load(place)
    if isinstance(place, Findings):
        from l2sim.report import study

        return place.path, study.document(place)
    from l2sim.report import comparison

    return place.path, comparison.document(place)


def write(document: Document, folder: Path, *, pdf: bool = False) -> Path:
    """Write a document into a folder, and remove what an earlier one left among its figures.

    Raises:
        OutputError: the folder cannot be written, or what makes a PDF is not installed.
    """
    html = rendered(document)
    files = dict(_figures(document))
    with writing(folder):
        figures = folder / FIGURES
        figures.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_file(figures / name, content)
        for file in [*figures.glob("*.csv"), *figures.glob("*.png")]:
            if file.name not in files:
                file.unlink()
        write_file(folder / TEXT, environment(markdown=True).get_template("report.md.jinja").render(document=document).encode())
        if pdf:
            write_file(folder / PAPER, _pdf(html))
        write_file(folder / PAGE, html.encode())
    return folder / PAGE


def rendered(document: Document) -> str:
    """The page."""
    return environment().get_template("page.html.jinja").render(document=document)


def _figures(document: Document) -> Iterator[tuple[str, bytes]]:
    for picture in document.pictures:
        yield f"{picture.name}.png", picture.drawing.png()
    for name, data in {**{picture.name: picture.data for picture in document.pictures}, **document.data}.items():
        yield f"{name}.csv", data.to_csv(index=False, lineterminator="\n").encode()


def environment(*, markdown: bool = False) -> "Environment":
    """Where templates are; what is written into a page is escaped, into Markdown by its own filter."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=not markdown,  # noqa: S701  (Markdown is escaped by its own filter)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["plain"] = plain
    return environment


def plain(text: object) -> str:
    """Text that Markdown takes for nothing but text, in a cell of a table too."""
    words = str(text).replace("\n", " ")
    for mark in "\\*|`":
        words = words.replace(mark, f"\\{mark}")
    return words.replace("&", "&amp;").replace("<", "&lt;")


def _pdf(html: str) -> bytes:
    """The page on paper; it carries no date, and its identifier depends on its contents alone."""
    from hashlib import sha256

    made: bytes = _weasyprint().HTML(string=html).write_pdf(pdf_identifier=sha256(html.encode()).digest()[:16])
    return made


def _weasyprint() -> Any:
    try:
        import weasyprint
    except ImportError as error:
        raise OutputError('a PDF needs weasyprint, which is not here: install it with  pip install "l2sim[pdf]"') from error
    except OSError as error:
        raise OutputError(
            f"a PDF needs weasyprint, which finds no Pango ({error}): on Debian and Ubuntu, apt install libpango-1.0-0"
        ) from error
    return weasyprint
