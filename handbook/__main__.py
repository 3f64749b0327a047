"""`make reference`: writes every generated page."""

from __future__ import annotations

from handbook.contents import ROOT, generated

if __name__ == "__main__":
    for name, text in generated().items():
        path = ROOT / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            print(f"wrote {name}")
