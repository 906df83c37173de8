"""The explorer in Jupyter: selections and motifs go to and fro between Python and the browser."""

import json

import numpy as np
import pytest
from browser import chromium
from explored import image, trained

import pyroshift as ps
from pyroshift.explorer.page import script

pytest.importorskip("anywidget", reason="anywidget is not installed: the widget isn't tested")


@pytest.fixture
def explorer():
    model, _, maps = trained()
    return ps.explore(model, maps, image())


def test_a_widget_shares_its_selection(explorer):
    explorer.selected = [2, 7]
    widget = explorer.widget
    assert np.flatnonzero(np.frombuffer(widget.selected, np.uint8)).tolist() == [2, 7]
    mask = np.zeros(117, np.uint8)
    mask[40:43] = 1
    widget.selected = mask.tobytes()
    assert np.flatnonzero(explorer.selected).tolist() == [40, 41, 42]
    explorer.selected = [1]
    assert np.flatnonzero(np.frombuffer(widget.selected, np.uint8)).tolist() == [1]


def test_a_widget_asks_the_model(explorer, monkeypatch):
    answers = []
    widget = explorer.widget
    monkeypatch.setattr(widget, "send", lambda said, buffers=(): answers.append((said, buffers)))
    widget._handle_custom_msg({"number": 4, "z": [0.3, -1.2], "kind": None}, [])
    (said, (drawn,)) = answers[0]
    expected = ps.decode(explorer.content.model, np.array([[0.3, -1.2]])).values
    assert said == {"number": 4}
    np.testing.assert_array_equal(
        np.frombuffer(drawn, np.float32).reshape(expected.shape), expected
    )
    widget._handle_custom_msg({"number": 5, "z": [0.3]}, [])
    assert "2 latents" in answers[1][0]["error"]


STAGE = """
<!DOCTYPE html><html><body><div id="cell"></div><script type="module">
%s
window.mount = (header, data) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const selected = new DataView(new ArrayBuffer(117));
  const state = { header, data: new DataView(bytes.buffer), selected };
  const listeners = {};
  window.sent = [];
  window.saved = [];
  window.answer = (said, values) => listeners["msg:custom"](said,
    values ? [new DataView(Float32Array.from(values).buffer)] : []);
  return render({ el: document.getElementById("cell"), model: {
    get: (name) => state[name],
    set: (name, value) => { state[name] = value; },
    save_changes: () => window.saved.push(Array.from(new Uint8Array(state.selected.buffer))),
    on: (name, call) => { listeners[name] = call; },
    off: () => {},
    send: (message) => window.sent.push(message),
  } }).then(() => null);
};
window.ready = true;
</script></body></html>
"""


def test_the_browsers_side_draws_what_the_model_answers(explorer):
    from pyroshift.explorer.packing import as_text

    header, data = explorer.content.packed()
    with chromium() as browser:
        tab = browser.new_page(viewport={"width": 1280, "height": 1100})
        errors = []
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.set_content(STAGE % script())
        tab.wait_for_function("window.ready")
        tab.evaluate("([header, data]) => mount(header, data)", [header, as_text(data)])
        tab.wait_for_function("sent.length === 1")
        first = tab.evaluate("sent[0]")
        assert len(first["z"]) == 2
        badge = tab.locator("section[aria-label=Manifold] > p").last
        assert "Interpolated" in badge.inner_text()
        drawn = ps.decode(explorer.content.model, np.array([first["z"]])).values.ravel()
        tab.evaluate(f"answer({{number: {first['number']}}}, {json.dumps(drawn.tolist())})")
        tab.wait_for_function(
            "document.body.textContent.includes('Drawn by the model itself')", timeout=5000
        )
        tab.locator("canvas[aria-label^='height']").focus()
        tab.keyboard.press("Space")
        assert sum(tab.evaluate("saved[0]")) == 1
        assert errors == []
