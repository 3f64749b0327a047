"""The documentation hangs together: navigation, links, anchors, generated pages, examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from handbook.contents import generated
from handbook.diagrams import read, svg
from handbook.llms import pages

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
INCLUDE = re.compile(r'^--8<-- "([^"]+)"$', re.MULTILINE)
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def text_of(page: Path) -> str:
    """Returns a page with its includes and without its examples."""
    whole = INCLUDE.sub(lambda found: (ROOT / found[1]).read_text(), page.read_text())
    return FENCE.sub("", whole)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    words = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"[-\s]+", "-", each) for each in words}


def test_every_generated_page_is_current():
    stale = [name for name, text in generated().items() if (ROOT / name).read_text() != text]
    assert stale == [], "run `make reference` and commit what it writes"


def test_every_page_is_in_the_navigation_once():
    listed = [page for _, _, page in pages(ROOT)]
    assert sorted(listed) == [str(page.relative_to(DOCS)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_link_and_every_anchor_leads_somewhere(page):
    for link in LINK.findall(text_of(page)):
        if link.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{link} leads nowhere"
        assert target.is_relative_to(DOCS), f"{link} leads out of the site"
        assert not anchor or anchor in anchors(target), f"{link} names no heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_page_begins_with_its_only_title(page):
    assert len(re.findall(r"^# ", text_of(page), re.MULTILINE)) == 1
    assert text_of(page).startswith("# ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_an_example_in_python_is_run_or_says_why_not(page):
    """Reads the comment above the example: the test that runs it, or the reason why none does."""
    lines = page.read_text().splitlines()
    for at, line in enumerate(lines):
        if line.strip() == "```python":
            above = lines[at - 1].strip()
            assert re.fullmatch(r"<!-- (run|test|site|file|not run): .+ -->", above), lines[at + 1]


def test_the_list_for_models_has_every_page_with_a_sentence():
    lines = [line for line in (DOCS / "llms.txt").read_text().splitlines() if line[:3] == "- ["]
    assert len(lines) == len(PAGES)
    addresses = [re.search(r"\]\(([^)]+)\)", line)[1] for line in lines]
    assert addresses[0] == "./"
    for address in addresses[1:]:
        assert (DOCS / f"{address.rstrip('/')}.md").is_file()
    assert [line for line in lines if "import " in line or "): " not in line] == []


def test_a_diagram_shows_all_that_its_text_says():
    text = "title: T\na: Ann\nb: Bob\na -> b: hello <you>\nb --> a: bye\nnote b: thinks"
    drawn = svg(text)
    assert all(word in drawn for word in ("<title>T<", ">Ann<", ">Bob<", "hello &lt;you&gt;"))
    assert drawn.count("<polygon") == 2
    assert drawn.count('class="arrow answer"') == 1
    assert "Bob: thinks" in drawn


@pytest.mark.parametrize("line", ["a -> c: to nobody", "a => b: what", "note c: nobody"])
def test_a_diagram_with_a_mistake_names_the_line(line):
    with pytest.raises(ValueError, match=re.escape(line)):
        read(f"a: Ann\nb: Bob\n{line}")
