"""The page in a real browser: what it shows, the keyboard, actions, and that no content is run."""

import base64
import json
import socket
import subprocess
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from browser.conftest import Open
from browser.traffic import HOSTILE, MODEL, THOUGHT, CachingEngine, coding, serving
from conftest import live_registry, live_server, registry_of, user
from server.http import post

pytestmark = pytest.mark.slow
WIDTHS = (1280, 390)
BROKEN = ("claude-cli", "prefix broke")
"""What is in the row of the turn whose prompt broke."""


def opened(page: Page, *texts: str, tab: str) -> None:
    """Open the newest request with these texts in its row, and choose a tab."""
    row = page.locator("a.request")
    for text in texts:
        row = row.filter(has_text=text)
    row.first.click()
    page.get_by_role("tab", name=tab).click()


def test_the_models_and_the_last_requests_are_shown(open_page: Open, url: str) -> None:
    page = open_page(url)
    expect(page.get_by_role("status").first).to_have_text("live")
    model = page.locator("article.model")
    expect(model).to_contain_text(MODEL)
    for fact in ("loaded", "131,072 tokens", "0 of 4 busy", "Cached conversations"):
        expect(model).to_contain_text(fact)
    broke = page.locator("a.request", has_text="prefix broke").first
    for fact in ("claude-cli/2.1.330", "b1946ac9", "claude-sonnet-4-5", "tool_use", "1 call", "% cached"):
        expect(broke).to_contain_text(fact)
    assert "cached" in str(broke.get_by_role("img").first.get_attribute("aria-label"))
    expect(page.locator("a.request", has_text="invalid_request_error").first).to_contain_text("OpenAI/Python")
    page.get_by_role("searchbox", name="Filter").fill("openai")
    expect(broke).not_to_be_visible()
    expect(page.locator("a.request", has_text="OpenAI/Python").first).to_be_visible()


def test_without_content_a_request_says_so(open_page: Open) -> None:
    with live_server(CachingEngine()) as url:
        coding(url)
        page = open_page(url)
        expect(page.get_by_text("Only the fields of the log line are kept.")).to_be_visible()
        page.locator("a.request").click()
        expect(page.get_by_text("The content of this request is not kept")).to_be_visible()


def test_a_request_appears_while_it_runs(open_page: Open, url: str) -> None:
    page = open_page(url, "#chat")
    page.get_by_role("textbox", name="Message").fill("Answer slowly")
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Requests").click()
    expect(page.locator("a.request").first).to_contain_text("decode")
    page.get_by_role("link", name="Chat").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".bubble.answer")).to_contain_text("stopped")
    page.get_by_role("link", name="Requests").click()
    expect(page.locator("a.request").first).to_contain_text("client_left")


def test_the_keyboard_reaches_everything(open_page: Open, url: str) -> None:
    page = open_page(url)
    page.locator("a.request").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    tab = page.get_by_role("tab", name="Conversation")
    expect(tab).to_have_attribute("aria-selected", "true")
    tab.focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Prompt")).to_be_focused()
    expect(page.get_by_role("tabpanel", name="Prompt")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("list", name="Requests, the newest first")).to_be_visible()


def test_the_place_where_a_prefix_broke_is_shown_beside_the_prompt_before(open_page: Open, url: str) -> None:
    page = open_page(url)
    opened(page, *BROKEN, tab="Prompt")
    expect(page.locator("tr.differs .come").first).to_have_text("M src/app/tests/test_parser.py")
    expect(page.locator("tr.differs .none").first).to_be_attached()
    page.get_by_role("button", name="Segments").click()
    expect(page.locator("li.break")).to_contain_text("Reused from the cache up to here")
    expect(page.locator("li.segment.new").first).to_contain_text("M src/app/tests/test_parser.py")


def test_raw_output_parts_constraint_and_events_are_shown(open_page: Open, url: str) -> None:
    page = open_page(url)
    opened(page, *BROKEN, tab="Answer")
    expect(page.locator(".written .markup").first).to_have_text("<think>")
    expect(page.locator(".written .raw.thinking")).to_have_text(THOUGHT)
    expect(page.locator(".columns .block.call")).to_contain_text("call of Read")
    page.get_by_text("What the engine enforces").click()
    expect(page.get_by_text("one of:").first).to_be_visible()
    page.get_by_role("tab", name="Events").click()
    assert "the longest pause is" in str(page.locator("svg.chart").get_attribute("aria-label"))
    expect(page.get_by_text("prefill", exact=True).last).to_be_visible()


def test_content_is_shown_as_text_and_never_run(open_page: Open, url: str) -> None:
    tool = {"name": "t", "description": HOSTILE, "input_schema": {"type": "object", "description": HOSTILE}}
    fields = {"model": f"claude-{HOSTILE}", "max_tokens": 99, "system": HOSTILE, "tools": [tool]}
    unknown = {"role": "user", "content": [{"type": HOSTILE, "x": HOSTILE}]}
    for message in (unknown, user(f"hostile {HOSTILE}")):
        post(url, {**fields, "messages": [message]}, user_agent=f"{HOSTILE[4:]} {message['content']}")
    page = open_page(url)
    expect(page.locator("a.request").first).to_contain_text("claude-<img src=x")
    for row in (0, 1):
        page.locator("a.request").nth(row).click()
        for tab in ("Conversation", "Prompt", "Answer", "Events", "Request"):
            page.get_by_role("tab", name=tab).click()
            for summary in page.locator(".detail-body summary").all():
                summary.click()
            if tab == "Conversation":
                expect(page.locator("#panel")).to_contain_text(HOSTILE[:20])
            assert page.locator("#main b", has_text="bold").count() == 0
            assert page.locator("#main script, #main img[src=x]").count() == 0
        page.get_by_role("link", name="Requests", exact=True).click()
    page.get_by_role("link", name="Chat").click()
    page.get_by_role("textbox", name="Message").fill(f"hostile {HOSTILE}")
    page.keyboard.press("Enter")
    expect(page.locator(".bubble.answer")).to_contain_text(f"It wrote {HOSTILE}")
    assert page.locator(".bubble img, .bubble script").count() == 0
    assert "owned" not in page.title()


def test_the_browser_refuses_html_in_text(open_page: Open, url: str) -> None:
    page = open_page(url)
    assert page.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>'; return 'ran' } catch (error) { return error.name } }"
    ) == ("TypeError")


def test_a_key_is_asked_for_and_kept_in_the_tab(open_page: Open) -> None:
    with serving(api_key="right-key") as url:
        coding(url, x_api_key="right-key")
        page = open_page(url)
        page.get_by_label("API key").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("The server does not accept this key.")
        expect(page.locator("a.request")).to_have_count(0)
        page.get_by_label("API key").fill("right-key")
        page.keyboard.press("Enter")
        expect(page.locator("a.request")).to_have_count(1)
        page.reload()
        opened(page, "claude-cli", tab="Answer")
        expect(page.locator(".columns .block.call")).to_be_visible()
        assert "right-key" not in page.url
        assert page.context.cookies() == []
        assert page.evaluate("localStorage.length") == 0


def test_a_request_is_copied_as_a_command_that_works(open_page: Open, url: str) -> None:
    page = open_page(url)
    opened(page, *BROKEN, tab="Request")
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.locator("#toast")).to_contain_text("copied")
    command = page.evaluate("navigator.clipboard.readText()")
    answer = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}, check=True)
    assert "event: message_stop" in answer.stdout


def test_a_request_is_sent_again(open_page: Open, url: str) -> None:
    page = open_page(url)
    opened(page, *BROKEN, tab="Conversation")
    before = page.url
    page.get_by_role("button", name="Replay").click()
    page.wait_for_url(lambda now: now != before)
    expect(page.locator(".detail-head")).to_contain_text("Mozilla")
    expect(page.locator(".detail-head .pill").first).to_have_text("tool_use")


def test_a_report_is_saved_without_secrets(open_page: Open, url: str) -> None:
    secret = "sk-ant-api03-aaaaaaaaaaaaaaaaaaaaaaaa"
    post(url, {"model": "claude-x", "max_tokens": 9, "messages": [user(f"My key is {secret}")]}, user_agent="secretive")
    page = open_page(url)
    opened(page, "secretive", tab="Conversation")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save bug report").click()
    saved = Path(download.value.path()).read_text()
    assert secret not in saved
    assert json.loads(saved)["entry"]["client"] == "secretive"


def test_the_chat_streams_thinks_calls_tools_and_sends_images(open_page: Open, url: str) -> None:
    page = open_page(url, "#chat")
    page.get_by_role("button", name="Example").click()
    page.get_by_label("Thinking").check()
    page.get_by_role("textbox", name="Message").fill("What is the weather in Paris?")
    page.keyboard.press("Enter")
    card = page.locator(".tool-card")
    expect(card).to_contain_text('"city": "Paris"')
    expect(page.locator(".bubble .thinking")).to_contain_text("I need the tool.")
    card.get_by_label("Result").fill("sunny, 21 degrees")
    card.get_by_role("button", name="Send result").click()
    expect(page.locator(".bubble.answer").last).to_contain_text("It is sunny in Paris.")
    expect(page.get_by_role("link", name="look at the request")).to_have_count(2)
    image = BytesIO()
    Image.new("RGB", (8, 8), "red").save(image, "PNG")
    page.locator("#chat-files").set_input_files({"name": "red.png", "mimeType": "image/png", "buffer": image.getvalue()})
    page.get_by_role("textbox", name="Message").fill("And this?")
    page.keyboard.press("Enter")
    expect(page.locator(".bubble.answer").last).to_contain_text("I see an image.")
    page.locator(".bubble.answer").last.get_by_role("link", name="look at the request").click()
    sent = page.locator(".turn.user img.sent")
    expect(sent).to_be_visible()
    assert base64.b64decode(str(sent.get_attribute("src")).partition(",")[2]) == image.getvalue()


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(open_page: Open, url: str, width: int) -> None:
    page = open_page(url, width=width)
    expect(page.locator("a.request").first).to_be_visible()
    fits = "document.documentElement.scrollWidth <= window.innerWidth"
    assert page.evaluate(fits)
    opened(page, *BROKEN, tab="Conversation")
    for tab in ("Conversation", "Prompt", "Answer", "Events", "Request"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate(fits), tab
    page.get_by_role("link", name="Chat").click()
    assert page.evaluate(fits)


def test_it_is_dark_where_the_system_is(open_page: Open, url: str) -> None:
    colours = []
    for dark in (False, True):
        page = open_page(url, dark=dark)
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    light, dark_colour = (sum(map(int, colour[4:-1].split(","))) for colour in colours)
    assert light > 600
    assert dark_colour < 150


def test_it_connects_again_after_the_server_was_away(open_page: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]

    def server() -> socket.socket:
        return socket.create_server(("127.0.0.1", port))

    with live_registry(registry_of(CachingEngine()), listener=server()) as url:
        page = open_page(url)
        expect(page.get_by_role("status").first).to_have_text("live")
    expect(page.get_by_role("status").first).to_contain_text("disconnected")
    with live_registry(registry_of(CachingEngine()), listener=server()):
        expect(page.get_by_role("status").first).to_have_text("live")
