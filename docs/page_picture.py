"""Makes the picture of the page: the bundled digits, given the upper half of a test digit.

python docs/page_picture.py
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

import autoregress as ar

HERE = Path(__file__).parent
CHROMIUM = "/usr/bin/chromium"
DIGIT, ROWS = 3, 4  # which of the test digits, and the number of its rows that are known
PIXEL = (5, 4)  # row and column of the pixel whose distribution is shown


def main() -> None:
    """Serves the model, draws the digit as a person would, and takes the picture."""
    command = [sys.executable, "-m", "autoregress", "serve", "--demo", "--no-open", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().split()[0]
        try:
            picture(address, HERE / "page.png")
        finally:
            server.terminate()


def picture(address: str, path: Path) -> None:
    digit = ar.data.digits_splits()[2].x[DIGIT]
    image = HERE / "digit.png"
    ar.data.write(image, digit[None], 17)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 776}, device_scale_factor=1.25)
        page.goto(address)
        page.locator("#bits").wait_for()
        page.set_input_files("#picture", image)
        image.unlink()
        page.get_by_text("The whole picture").wait_for()
        page.get_by_role("radio", name="Eraser").click()
        page.get_by_label("Size of the brush").select_option("2")
        box = page.locator(".easel canvas").bounding_box()
        assert box is not None
        step = box["width"] / 8

        def place(row: int, column: int) -> tuple[float, float]:
            assert box is not None
            return box["x"] + (column + 0.5) * step, box["y"] + (row + 0.5) * step

        for row in range(ROWS, 8, 2):
            page.mouse.move(*place(row, 0))
            page.mouse.down()
            page.mouse.move(*place(row, 7), steps=8)
            page.mouse.up()
        page.get_by_role("radio", name="White").click()
        page.mouse.move(*place(*PIXEL))
        page.get_by_text("bits each on average").wait_for()
        page.wait_for_timeout(3000)  # the completions appear
        page.screenshot(path=path)
        browser.close()


if __name__ == "__main__":
    main()
