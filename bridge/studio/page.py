"""The page: a tab for each bundle, with a control for each of its parameters (gradio's extra `studio`)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bridge.studio.maker import BARS_MAX, Maker, Wish
from engines.errors import SidemanError
from engines.parameter import Parameter

FIRST = ("prompt", "genre", "style", "blend", "blend_amount", "density", "temperature", "top_p", "root", "scale")
"""Parameters that a page shows at once, in this order, where a bundle has them; the others are folded away."""

BUILT_IN = "built-in sounds"
CACHE_S = 3600
"""How long what was made can be fetched."""

CSS = """
.roll-box { overflow-x: auto; } .roll-box svg { max-width: none; }
footer { display: none !important; }
"""


def build(makers: Sequence[Maker], font: Path | None) -> Any:
    """The gradio Blocks of a page, not launched. font: a sound font that is offered beside the built-in sounds."""
    import gradio as gr

    with gr.Blocks(title="Sideman studio", analytics_enabled=False, delete_cache=(CACHE_S, CACHE_S)) as page:
        gr.Markdown("# Sideman studio")
        for maker in makers:
            with gr.Tab(maker.name):
                _tab(maker, font)
    return page


def _tab(maker: Maker, font: Path | None) -> None:
    import gradio as gr

    table = {parameter.name: parameter for parameter in maker.engine.parameters}
    first = [table[name] for name in FIRST if name in table]
    others = [row for name, row in table.items() if name not in FIRST and row.kind != "bool"]
    switches = [row for name, row in table.items() if name not in FIRST and row.kind == "bool"]
    with gr.Row():
        with gr.Column(scale=1, min_width=320):
            controls = {parameter.name: _control(parameter) for parameter in first}
            bars = gr.Slider(1, BARS_MAX, 8, step=1, label="bars")
            with gr.Row():
                tempo = gr.Number(120, label="tempo", info="empty: the prompt's", min_width=100)
                meter = gr.Textbox("4/4", label="metre", info="empty: the prompt's", max_lines=1, min_width=100)
                seed = gr.Textbox("", label="seed", info="empty: a new one", max_lines=1, min_width=100)
            sounds = [BUILT_IN] if font is None else [font.stem, BUILT_IN]
            sound = gr.Dropdown(sounds, value=sounds[0], label="played with")
            with gr.Accordion("go on from a MIDI file", open=False):
                prompt = gr.File(label="prompt", file_types=[".mid", ".midi"], type="filepath", height=120)
                infill = gr.Textbox("", label="bars to make anew", info="such as 5 or 5-6; empty: go on", max_lines=1)
            with gr.Accordion("all parameters", open=False):
                controls |= {parameter.name: _control(parameter) for parameter in others}
                with gr.Row():
                    controls |= {parameter.name: _control(parameter) for parameter in switches}
            button = gr.Button("make bars", variant="primary")
        with gr.Column(scale=2, min_width=480):
            about = gr.Textbox(label="made", interactive=False, max_lines=1)
            picture = gr.HTML(label="piano roll", elem_classes="roll-box")
            audio = gr.Audio(label="listen", interactive=False, type="filepath", buttons=["download"])
            midi = gr.DownloadButton("download MIDI", interactive=False)

    def make(*given: Any, progress: Any = gr.Progress()) -> Iterator[tuple[Any, ...]]:  # noqa: B008 - gradio finds it there
        *words, sound_name = given[:7]
        bar_count, tempo_bpm, meter_text, seed_text, prompt_path, infill_text = words
        wish = Wish(
            bars=bar_count,
            tempo_bpm=tempo_bpm,
            meter=meter_text or "",
            seed=seed_text or "",
            prompt=None if prompt_path is None else Path(prompt_path),
            infill=infill_text or "",
            font=font if font is not None and sound_name == font.stem else None,
            values=dict(zip(controls, given[7:], strict=True)),
        )
        with tempfile.TemporaryDirectory() as folder:  # gradio copies what is yielded before it comes back here
            try:
                take = maker.make(wish, Path(folder), lambda done, of: progress((done, of), unit="bars"))
            except SidemanError as error:
                raise gr.Error(str(error), print_exception=False) from error
            file = gr.DownloadButton(value=take.midi, interactive=take.midi is not None)
            yield take.about, take.picture, str(take.wav), file

    button.click(
        make,
        [bars, tempo, meter, seed, prompt, infill, sound, *controls.values()],
        [about, picture, audio, midi],
        api_name=maker.name,
        concurrency_limit=1,
        concurrency_id="making",
    )


def _control(parameter: Parameter) -> Any:
    import gradio as gr

    label, info = parameter.name.replace("_", " "), parameter.help
    if parameter.kind == "choice":
        return gr.Dropdown(list(parameter.choices), value=parameter.default, label=label, info=info)
    if parameter.kind == "bool":
        return gr.Checkbox(bool(parameter.default), label=label, min_width=130)
    if parameter.kind == "text":
        return gr.Textbox(str(parameter.default), label=label, info=info, max_length=int(parameter.high), max_lines=2)
    step = 1 if parameter.kind == "int" else 0.01
    return gr.Slider(parameter.low, parameter.high, parameter.default, step=step, label=label, info=info)
