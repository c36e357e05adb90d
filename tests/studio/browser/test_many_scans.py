"""A folder in a real browser: the contact sheet, and what is done to many scans at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, expect
from running_studio import RunningStudio, find_violations, redust, wait_until_detected

Starts = Callable[..., RunningStudio]
Writes = Callable[..., Path]


def card(page: Page, name: str) -> Locator:
    """A scan's card on the sheet."""
    return page.locator(".card", has_text=name)


def test_a_roll_is_judged_by_keys_and_the_accepted_are_exported(
    page: Page, dusty_roll: Writes, start_studio: Starts, tmp_path: Path
) -> None:
    folder = dusty_roll("a.tif", "b.tif", "c.tif")
    studio = start_studio(folder)
    page.goto(studio.url)
    expect(page.locator(".card")).to_have_count(3)
    page.get_by_role("button", name="a.tif").click()
    wait_until_detected(page)
    page.get_by_role("heading", name="Repair").click()
    page.get_by_label("Fill").select_option("telea")
    page.keyboard.press("k")
    expect(page.get_by_role("heading", level=1)).to_have_text("b.tif")
    wait_until_detected(page)
    page.keyboard.press("Shift+X")
    expect(page.get_by_role("heading", level=1)).to_have_text("c.tif")
    page.keyboard.press("Escape")
    expect(card(page, "a.tif").locator(".state")).to_have_text("accepted")
    expect(card(page, "b.tif").locator(".state")).to_have_text("rejected")
    page.get_by_role("button", name="b.tif").focus()
    page.keyboard.press("Shift+X")  # taken back
    expect(card(page, "b.tif").locator(".state")).to_have_text("detected")
    page.get_by_label("Show").select_option("accepted")
    expect(page.locator(".card")).to_have_count(1)
    page.get_by_role("button", name="Export accepted").click()
    expect(page.get_by_text("1 scan exported.")).to_be_visible(timeout=20_000)
    assert sorted(path.name for path in studio.output.glob("*.tif")) == ["a.tif"]
    redust("restore", folder / "a.tif", "-o", tmp_path / "a.tif", "--fill", "telea")
    assert (studio.output / "a.tif").read_bytes() == (tmp_path / "a.tif").read_bytes()


def test_settings_are_copied_and_a_file_that_is_no_picture_is_refused_in_words(
    page: Page, dusty_roll: Writes, start_studio: Starts, tmp_path: Path
) -> None:
    page.goto(start_studio(dusty_roll("a.tif", "b.tif", specks=5)).url)
    page.get_by_role("button", name="a.tif").click()
    wait_until_detected(page)
    grow = page.get_by_label("Grow by")
    with page.expect_response(lambda response: response.url.endswith("/settings") and response.ok):
        grow.fill("5")
    page.get_by_role("button", name="All scans").click()
    page.get_by_role("button", name="Copy settings to all").click()
    expect(page.get_by_text("Settings copied to 1 scan.")).to_be_visible()
    page.get_by_role("button", name="b.tif").click()
    expect(grow).to_have_value("5")
    page.get_by_role("button", name="All scans").click()
    (tmp_path / "letter.tif").write_text("no picture")
    page.get_by_label("Add scans").set_input_files(tmp_path / "letter.tif")
    expect(page.locator(".toast.error")).to_contain_text("letter")


def test_a_damaged_scan_says_why_and_an_export_of_all_names_it(
    page: Page, dusty_roll: Writes, start_studio: Starts
) -> None:
    damaged = dusty_roll("a.tif", "b.tif", specks=5) / "b.tif"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    page.goto(start_studio(damaged.parent).url)
    expect(card(page, "b.tif")).to_contain_text("failed")
    card(page, "b.tif").get_by_role("button").click()
    expect(page.locator(".stage-note")).to_contain_text("Use a sound copy")
    page.get_by_role("button", name="All scans").click()
    page.get_by_role("button", name="Export all").click()
    toast = page.locator(".toast.error")
    expect(toast).to_contain_text("1 scan exported, 1 not: b.tif.", timeout=60_000)
    expect(toast).to_contain_text("Use a sound copy")
    expect(page.get_by_text("Exporting")).to_have_count(0)


def test_corrections_teach_and_are_undone(page: Page, dusty_roll: Writes, start_studio: Starts) -> None:
    page.goto(start_studio(dusty_roll("a.tif", "b.tif")).url)
    for name in ("b.tif", "a.tif"):
        page.get_by_role("button", name=name).click()
        wait_until_detected(page)
        for _ in range(8 if name == "a.tif" else 0):
            page.keyboard.press("n")
            expect(page.locator(".region.current")).to_have_count(1)
            if page.locator(".region.current.dropped").count() == 0:  # it may have gone with its neighbour
                page.keyboard.press("d")
                expect(page.locator(".region.current.dropped")).to_have_count(1)
                expect(page.get_by_role("button", name="Undo")).to_be_enabled()
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Judge the rest like this").click()
    dialog = page.get_by_role("dialog", name="Judge the rest like this")
    expect(dialog.get_by_text("Learned from your corrections.")).to_be_visible(timeout=60_000)
    dialog.get_by_role("button", name="Undo").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_text("the corrections teach nothing")).to_be_visible()


def test_accessible_in_both_themes(browser: Browser, dusty_roll: Writes, start_studio: Starts, axe: Path) -> None:
    # The script of axe-core comes from outside the page; colours on their way would be measured halfway.
    context = browser.new_context(bypass_csp=True, reduced_motion="reduce")
    page = context.new_page()
    page.goto(start_studio(dusty_roll("a.tif", "b.tif")).url)
    expect(page.locator(".card")).to_have_count(2)
    assert_accessible(page, axe)
    page.get_by_role("button", name="a.tif").click()
    wait_until_detected(page)
    for heading in ("Repair", "Display"):
        page.get_by_role("heading", name=heading).click()
    page.keyboard.press("n")
    page.keyboard.press("d")
    page.keyboard.press("b")
    page.get_by_role("button", name="Split").click()
    expect(page.locator(".region.dropped")).to_have_count(1)
    assert_accessible(page, axe)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    assert_accessible(page, axe)
    context.close()


def assert_accessible(page: Page, axe: Path) -> None:
    """No rule of WCAG 2.2 AA is broken, in the dark and in the light."""
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        assert not find_violations(page, axe), scheme
