"""What a report is written as: page, text with pictures, data and PDF, each the same when written again."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from report_runs import browse, make_run
from report_studies import kept, study, width_at

from l2sim.report import write_report
from l2sim.report.writing import plain
from l2sim.results import OutputError, Run
from l2sim.study import Findings

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = make_run(tmp_path_factory.mktemp("outputs"), changes={"question": "Who pays | what, *really*?"})
    write_report(made)
    return made


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    made = kept(tmp_path_factory.mktemp("outputs"), study(), failed=(5,))
    write_report(made, pdf=True)
    return made


@pytest.fixture(params=["run", "found"])
def folder(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param).path
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


# ---- page, text, pictures, data


def test_the_text_has_the_figures_of_the_page(folder: Path) -> None:
    page, text = (folder / "report.html").read_text("utf-8"), (folder / "report.md").read_text("utf-8")
    names = re.findall(r'<figure id="([^"]+)">', page)
    assert names
    assert re.findall(r"\]\(figures/([^)]+)\.png\)", text) == names
    assert re.findall(r"\]\(figures/([^)]+)\.csv\)", text) == names
    made = {path.name for path in (folder / "figures").iterdir()}
    assert made == {f"{name}.{end}" for name in names for end in ("csv", "png")}
    assert all((folder / "figures" / f"{name}.png").read_bytes().startswith(PNG) for name in names)


def test_the_text_is_sound_markdown(folder: Path) -> None:
    text = (folder / "report.md").read_text("utf-8")
    lines = text.splitlines()
    headings = [line for line in lines if line.startswith("#")]
    assert headings[:2] == ["# A &lt;b>stop&lt;/b> &amp; its price", "## The answer"] or headings[1] == "## The answer"
    assert not re.search(r"<b>|{{|{%", text)
    assert text.count("```") % 2 == 0
    for place, line in enumerate(lines):
        if re.fullmatch(r"\|( :?--:? \|)+", line):
            cells = len(re.findall(r"(?<!\\)\|", line))
            assert lines[place - 2] == "", "a table begins after an empty line, with its head"
            for row in (row for row in lines[place - 1 : place + 3] if row.startswith("|")):
                assert len(re.findall(r"(?<!\\)\|", row)) == cells, row
        elif line.startswith("|"):
            assert lines[place - 1].startswith("|") or re.fullmatch(r"\|( :?--:? \|)+", lines[place + 1])
    assert "\n\n\n\n" not in text


def test_what_users_wrote_is_nothing_but_text(run: Run) -> None:
    text = (run.path / "report.md").read_text("utf-8")
    assert r"Who pays \| what, \*really\*?" in text
    assert plain("a\nb|c <d> `e` \\") == r"a b\|c &lt;d> \`e\` \\"


def test_the_page_and_the_text_say_the_same(run: Run) -> None:
    page, text = (run.path / "report.html").read_text("utf-8"), (run.path / "report.md").read_text("utf-8")
    answer = page[page.index('<section id="answer">') : page.index("</section>")]
    told = re.findall(r"<dd>(.*?)</dd>", answer)
    assert told
    for finding in told:
        assert finding.replace("&#39;", "'") in text


def test_every_figure_says_how_it_is_made(folder: Path) -> None:
    page = (folder / "report.html").read_text("utf-8")
    made = re.findall(r"Made by <code>(l2sim (?:run|sweep) [^<]*)</code>", page)
    assert len(made) == page.count("<figure ")
    assert len(set(made)) == 1


def test_all_of_it_is_the_same_when_written_again_elsewhere(found: Findings, tmp_path: Path) -> None:
    before = files(found.path)
    assert "report.pdf" in before
    copy = tmp_path / found.path.parent.name / found.path.name
    shutil.copytree(found.path, copy, ignore=shutil.ignore_patterns("report.*", "figures"))
    (copy / "figures").mkdir()
    (copy / "figures" / "of_old.png").write_bytes(b"a figure that is no more")
    program = "import sys; from l2sim.report import write_report; write_report(sys.argv[1], pdf=True)"
    command = [sys.executable, "-W", "error", "-c", program, str(copy)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env={"PYTHONHASHSEED": "4242"})
    assert result.returncode == 0, result.stderr
    assert files(copy) == before


# ---- PDF


def test_the_pdf_has_every_page_and_no_date(found: Findings) -> None:
    pypdf = pytest.importorskip("pypdf")
    document = pypdf.PdfReader(found.path / "report.pdf")
    text = " ".join(" ".join(page.extract_text().split()) for page in document.pages)
    assert document.metadata.title == "A <b>stop</b> & its length"
    assert not {"/CreationDate", "/ModDate"} & set(document.metadata)
    for words in ("The answer", "Runs that failed", "Assumptions", "The study in full", "Glossary"):
        assert words in text
    assert all(page.extract_text().strip() for page in document.pages)


def test_without_weasyprint_the_extra_is_named(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run.path, copy, ignore=shutil.ignore_patterns("report.*", "figures"))
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    with pytest.raises(OutputError, match=r'pip install "l2sim\[pdf\]"'):
        write_report(copy, pdf=True)
    assert not list(copy.glob("report.*"))


# ---- in a browser


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_fits_a_desktop_and_a_phone(run: Run, tmp_path: Path, width: int) -> None:
    assert browse(run.path / "report.html")[1] == []
    assert width_at(run.path / "report.html", tmp_path, width) == width
