"""One scan in a real browser: look, decide, correct, restore."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, Route, expect
from running_studio import (
    AUTOMATIC,
    BY_HAND,
    NOTHING,
    RunningStudio,
    count_regions,
    drag,
    middle,
    redust,
    wait_for_tint,
    wait_until,
    wait_until_detected,
)

from redust.files import read_scan

Opens = Callable[[Page, str], RunningStudio]

EXAMPLE = Path(__file__).parents[3] / "examples/astronaut-scan.tif"


def export(page: Page) -> None:
    """Export the open scan and wait for its file."""
    page.keyboard.press("Control+e")
    expect(page.get_by_text("Exported:")).to_be_visible(timeout=20_000)


def choose_fill(page: Page, name: str) -> None:
    """Choose the fill in the panel."""
    page.get_by_role("heading", name="Repair").click()
    page.get_by_label("Fill").select_option(name)


def test_what_the_page_exports_is_what_the_command_line_writes(
    page: Page, start_studio: Callable[..., RunningStudio], tmp_path: Path
) -> None:
    scan = tmp_path / "scans/scan.tif"
    scan.parent.mkdir()
    shutil.copy(EXAMPLE, scan)
    studio = start_studio(scan)
    page.goto(studio.url)
    wait_until_detected(page)
    normal = count_regions(page)
    choose_fill(page, "telea")
    page.get_by_label("Sensitivity").fill("1")
    page.wait_for_function(
        "(start) => !document.querySelector('.figures').innerText.startsWith(start)", arg=f"{normal} "
    )
    export(page)
    redust("restore", scan, "-o", tmp_path / "eager.tif", "--fill", "telea", "--sensitivity", "eager")
    assert (studio.output / "scan.tif").read_bytes() == (tmp_path / "eager.tif").read_bytes()


def test_a_corrected_mask_repairs_the_same_by_command(page: Page, open_scan: Opens, tmp_path: Path) -> None:
    studio = open_scan(page, "dusty-2.tif")
    choose_fill(page, "telea")
    page.keyboard.press("n")
    page.keyboard.press("d")
    expect(page.locator(".region.dropped")).to_have_count(1)
    page.keyboard.press("1")
    page.keyboard.press("b")
    x, y = middle(page)
    drag(page, (x - 40, y + 60), (x + 40, y + 90))
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    wait_for_tint(page, (x, y + 75), BY_HAND)
    with page.expect_download() as download:
        page.get_by_role("link", name="Save mask").click()
    download.value.save_as(tmp_path / "mask.png")
    export(page)
    scan, masked = studio.scans[0] / "dusty-2.tif", tmp_path / "masked.tif"
    redust("restore", scan, "--mask", tmp_path / "mask.png", "-o", masked, "--fill", "telea")
    assert (studio.output / "dusty-2.tif").read_bytes() == masked.read_bytes()


def test_a_stroke_shows_before_the_server_answers_and_is_undone(page: Page, open_scan: Opens) -> None:
    open_scan(page, "clean-1.tif")
    page.keyboard.press("1")
    page.keyboard.press("b")
    x, y = middle(page)
    held: list[Route] = []
    page.route("**/edits", lambda route: held.append(route))
    drag(page, (x - 60, y), (x + 60, y))
    wait_for_tint(page, (x, y), BY_HAND)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    wait_until(page, lambda: len(held) == 1)
    held.pop().continue_()
    page.unroute("**/edits")
    expect(page.get_by_text("corrected", exact=True)).to_be_visible(timeout=20_000)
    wait_for_tint(page, (x, y), BY_HAND)
    page.get_by_role("button", name="Undo").click()
    wait_for_tint(page, (x, y), NOTHING)
    page.get_by_role("button", name="Redo").click()
    wait_for_tint(page, (x, y), BY_HAND)


def test_before_and_after(page: Page, open_scan: Opens) -> None:
    open_scan(page, "dusty-3.tif")
    choose_fill(page, "telea")
    page.keyboard.press("1")
    x, y = middle(page)
    wait_for_tint(page, (x, y), AUTOMATIC)
    with page.expect_response(lambda response: "/dzi/restored/" in response.url and response.ok):
        page.get_by_role("button", name="Split").click()
    curtain = page.get_by_role("slider", name="Before and after curtain")
    curtain.press("Home")
    expect(curtain).to_have_attribute("aria-valuenow", "0")
    wait_for_tint(page, (x, y), NOTHING)
    curtain.press("End")
    wait_for_tint(page, (x, y), AUTOMATIC)
    page.keyboard.press("c")
    wait_for_tint(page, (x, y), NOTHING)
    page.keyboard.down("\\")
    expect(page.locator(".stage-note")).to_have_text("Before")
    page.keyboard.up("\\")
    expect(page.locator(".stage-note")).not_to_have_text("Before")


def test_zoom_keys_and_the_small_map(page: Page, open_scan: Opens) -> None:
    open_scan(page, "clean-2.tif")
    zoom = page.locator(".zoom-bar output")
    for key, percentage in (("1", "100 %"), ("2", "200 %")):
        page.keyboard.press(key)
        expect(zoom).to_have_text(percentage)
    expect(page.locator(".navigator")).to_be_visible()
    page.keyboard.press("PageDown")
    expect(page.get_by_role("heading", level=1)).to_have_text("clean-3.tif")
    wait_until_detected(page)
    expect(zoom).to_have_text("200 %")  # kept on the next picture
    page.keyboard.press("0")
    expect(page.locator(".navigator")).to_be_hidden()


def test_nothing_found_says_what_to_try(page: Page, open_scan: Opens) -> None:
    open_scan(page, "clean-3.tif")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    expect(page.locator(".figures")).to_contain_text("sensitivity")


def test_regions_by_doubt_a_click_drops_one_and_brings_it_back(page: Page, open_scan: Opens) -> None:
    open_scan(page, "dusty-4.tif")
    regions = count_regions(page)
    page.keyboard.press("2")
    page.keyboard.press("x")
    x, y = middle(page)
    wait_for_tint(page, (x, y), AUTOMATIC)
    page.mouse.click(x, y)
    expect(page.locator(".region.dropped")).to_have_count(1)
    expect(page.locator(".figures")).to_contain_text(f"{regions - 1} region")
    page.mouse.click(x, y)
    expect(page.locator(".region.dropped")).to_have_count(0)
    wait_for_tint(page, (x, y), AUTOMATIC)


def test_rectangle_protection_and_eraser_reach_the_mask(page: Page, open_scan: Opens) -> None:
    open_scan(page, "clean-4.tif")
    page.keyboard.press("1")
    x, y = middle(page)
    page.keyboard.press("m")
    drag(page, (x - 100, y - 60), (x - 20, y + 60))
    wait_for_tint(page, (x - 60, y), BY_HAND)
    page.keyboard.press("g")
    page.keyboard.press("m")
    drag(page, (x + 40, y), (x + 80, y))
    wait_for_tint(page, (x + 60, y), "b > 200 && a > 40")
    page.keyboard.press("e")
    drag(page, (x - 60, y), (x - 60, y + 1))
    wait_for_tint(page, (x - 60, y), f"{NOTHING} || (r > 180 && b > 180)")


def test_brush_size_by_keys_and_by_alt_drag(page: Page, open_scan: Opens) -> None:
    open_scan(page, "clean-5.tif")
    page.keyboard.press("b")
    size = page.get_by_label("Brush size")
    for key, diameter in (("BracketRight", "34"), ("BracketLeft", "28")):
        page.keyboard.press(key)
        expect(size).to_have_value(diameter)
    x, y = middle(page)
    page.keyboard.down("Alt")
    drag(page, (x, y), (x + 50, y))
    page.keyboard.up("Alt")
    expect(size).to_have_value("78")
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


def test_a_pen_draws_and_then_a_finger_moves_the_picture(page: Page, open_scan: Opens) -> None:
    open_scan(page, "clean-6.tif")
    page.keyboard.press("2")
    expect(page.locator(".zoom-bar output")).to_have_text("200 %")
    page.keyboard.press("b")
    x, y = middle(page)
    device = page.context.new_cdp_session(page)

    def send(kind: str, across: float) -> None:
        device.send(
            "Input.dispatchMouseEvent",
            {
                "type": kind,
                "x": x + across,
                "y": y,
                "button": "left",
                "buttons": 1,
                "clickCount": 1,
                "pointerType": "pen",
            },
        )

    send("mousePressed", -50)
    send("mouseMoved", 0)
    send("mouseMoved", 50)
    send("mouseReleased", 50)
    wait_for_tint(page, (x, y), BY_HAND)
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    for kind, across in (("touchStart", 0), ("touchMove", 60), ("touchMove", 120)):
        device.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x + across, "y": y}]})
    device.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait_for_tint(page, (x + 120, y), BY_HAND)  # the stroke has moved with the picture
    wait_for_tint(page, (x - 20, y), NOTHING)


def test_a_turned_scan_is_shown_upright_and_corrected_as_it_is_stored(
    page: Page, dusty_scan: Callable[..., Path], start_studio: Callable[..., RunningStudio], tmp_path: Path
) -> None:
    page.goto(start_studio(dusty_scan(orientation=6), detector="tophat").url)  # to be turned by 90 degrees, clockwise
    wait_until_detected(page)
    page.keyboard.press("1")
    expect(page.get_by_role("status", name="Zoom")).to_have_text("100 %")  # a stroke would stop the zoom half way
    x, y = middle(page)
    wait_for_tint(page, (x, y), AUTOMATIC)
    page.keyboard.press("b")
    corner = (x - 150, y - 200)
    drag(page, corner, (x - 140, y - 200))
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    wait_for_tint(page, corner, BY_HAND)
    with page.expect_download() as download:
        page.get_by_role("link", name="Save mask").click()
    download.value.save_as(tmp_path / "mask.png")
    mask = read_scan(tmp_path / "mask.png").pixels[..., 0]
    assert mask.shape == (540, 720)
    assert mask[270 + 150, 360 - 200]


def test_a_brush_wider_than_any_scratch_still_marks_one(page: Page, open_scan: Opens) -> None:
    open_scan(page, "clean-6.tif")
    page.keyboard.press("1")
    page.get_by_label("Brush size").fill("300")
    page.keyboard.press("s")
    x, y = middle(page)
    page.mouse.click(x - 50, y)
    page.mouse.click(x + 50, y)
    wait_for_tint(page, (x, y), BY_HAND)
    expect(page.locator(".toast.error")).to_have_count(0)


def test_keyboard_alone(page: Page, open_scan: Opens) -> None:
    """From the sheet into a scan, through its regions, a dab with the brush, the list of keys, and back."""
    open_scan(page, "dusty-6.tif")
    page.keyboard.press("Escape")
    card = page.get_by_role("button", name="dusty-6.tif")
    expect(card).to_be_focused()
    page.keyboard.press("Enter")
    wait_until_detected(page)
    page.keyboard.press("n")
    expect(page.locator(".region.current")).to_have_count(1)
    page.keyboard.press("d")
    expect(page.locator(".region.dropped.current")).to_have_count(1)
    page.keyboard.press("2")
    stage = page.get_by_role("application")
    while not stage.evaluate("(element) => element === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.press("b")
    expect(page.locator(".centre-cross")).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    wait_for_tint(page, middle(page), BY_HAND)
    page.keyboard.press("Control+z")
    wait_for_tint(page, middle(page), NOTHING)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    page.keyboard.press("k")
    expect(page.get_by_role("main", name="Contact sheet")).to_be_visible()


def test_a_killed_server_loses_nothing(
    page: Page, dusty_scan: Callable[..., Path], start_studio: Callable[..., RunningStudio]
) -> None:
    studio = start_studio(dusty_scan(specks=0))
    page.goto(studio.url)  # a single scan opens at once
    wait_until_detected(page)
    page.keyboard.press("1")
    page.keyboard.press("b")
    x, y = middle(page)
    drag(page, (x - 60, y), (x + 60, y))
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    studio.stop(signal.SIGKILL)
    expect(page.get_by_text("The server has stopped")).to_be_visible()
    studio.start()
    page.goto(studio.url)
    expect(page.get_by_text("corrected", exact=True)).to_be_visible(timeout=20_000)
    wait_until_detected(page)
    page.keyboard.press("1")
    wait_for_tint(page, (x, y), BY_HAND)
    page.get_by_role("button", name="Undo").click()
    wait_for_tint(page, (x, y), NOTHING)
