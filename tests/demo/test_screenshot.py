"""The picture-taking script: a real page becomes a real PNG, and what fails says so."""

from pathlib import Path

import pytest

from demo import screenshot

needs_chromium = pytest.mark.skipif(
    screenshot.find_chromium() is None, reason="Chromium is not installed"
)
PAGE = "<!doctype html><title>t</title><style>body{background:light-dark(#fff,#000);color-scheme:light dark}</style>"


@needs_chromium
def test_light_and_dark_are_two_pictures(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(PAGE)
    out = [tmp_path / "light.png", tmp_path / "dark.png"]
    for path, extra in zip(out, ([], ["--dark"]), strict=True):
        assert (
            screenshot.main([page.as_uri(), str(path), "--width", "100", "--height", "80", *extra])
            == 0
        )
    light, dark = (path.read_bytes() for path in out)
    assert light[:8] == dark[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(light[16:20]), int.from_bytes(light[20:24])) == (100, 80)
    assert light != dark


@needs_chromium
def test_a_page_that_cannot_be_opened_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert screenshot.main([(tmp_path / "none.html").as_uri(), str(tmp_path / "x.png")]) == 2
    assert "no picture was taken" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


def test_without_a_browser_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(screenshot, "find_chromium", lambda: None)
    assert screenshot.main(["http://127.0.0.1:9/", str(tmp_path / "x.png")]) == 2
    assert "Chromium is not installed" in capsys.readouterr().err
