"""The flat GPT: its windows, its training, and that it is Llama."""

import json
from pathlib import Path

import numpy as np
import pytest

from engines.errors import SidemanError

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("pyarrow", reason="needs the extra train")

from offline.data.table import write_rows  # noqa: E402
from offline.knobs import changed  # noqa: E402
from offline.notes.gpt.config import PRESETS, GptConfig, read_hparams  # noqa: E402
from offline.notes.gpt.data import read_tokens  # noqa: E402
from offline.notes.gpt.dataset import IGNORED, GptEpoch, Tokens, Windows, pairs  # noqa: E402
from offline.notes.gpt.network import GptNetwork, GptShape  # noqa: E402
from offline.notes.gpt.train import load_checkpoint, loss_of, train  # noqa: E402
from offline.notes.index import INDEX_FILE, MANIFEST_FILE, Row, TokenRow  # noqa: E402
from offline.notes.tokens import NAMES_FILE  # noqa: E402
from offline.trainer import BEST  # noqa: E402

WORDS = (
    "PAD_None", "BOS_None", "EOS_None", *(f"Bar_{i}" for i in range(8)), "Position_0", "Program_-1", "Program_0",
    *(f"Pitch_{i}" for i in range(40, 80)), "Genre_folk", "Genre_jazz",
)  # fmt: skip
NUMBER = {word: i for i, word in enumerate(WORDS)}
SMALL = ["sequence=24", "width=32", "layers=1", "heads=2", "key_heads=1", "hidden=32", "epochs=1", "windows=8",
         "judged=4", "warmup=2", "precision=fp32"]  # fmt: skip


def piece(bars: int, pitch: int) -> list[int]:
    """Bars of a drum hit and a note."""
    words = []
    for bar in range(bars):
        words += [f"Bar_{bar}", "Position_0", "Program_-1", "Pitch_42", "Program_0", f"Pitch_{pitch}"]
    return [NUMBER[word] for word in (*words, "EOS_None")]


def tokens(*pieces: list[int]) -> Tokens:
    starts = np.cumsum([0, *map(len, pieces)])
    genre = np.full(len(pieces), NUMBER["Genre_jazz"], np.uint16)
    return Tokens(WORDS, np.concatenate(pieces).astype(np.uint16), starts, genre)


def test_windows_begin_with_a_bar_and_stay_in_their_piece() -> None:
    windows = Windows(tokens(piece(8, 50), piece(2, 70), piece(6, 60)), 16)
    rows = windows.rows(windows.drawn(np.random.default_rng(0), 200))
    assert rows.shape == (200, 16)
    assert (rows[:, 0] == NUMBER["BOS_None"]).all()
    assert (rows[:, 1] == NUMBER["Genre_jazz"]).all()
    assert all(WORDS[token].startswith("Bar_") for token in rows[:, 2])
    pitches = [{WORDS[token] for token in row} & {"Pitch_50", "Pitch_60", "Pitch_70"} for row in rows]
    assert all(len(own) == 1 for own in pitches)
    assert {name for own in pitches for name in own} == {"Pitch_50", "Pitch_60", "Pitch_70"}
    short = rows[[own == {"Pitch_70"} for own in pitches]]
    assert (short[:, 15] == NUMBER["PAD_None"]).all(), "a piece of 13 tokens is padded"
    whole = rows[[own == {"Pitch_50"} for own in pitches]]
    assert (whole != NUMBER["PAD_None"]).all(), "of a long piece every window is full"


def test_transposition_moves_pitches_and_leaves_drums_and_what_would_leave_the_range() -> None:
    windows = Windows(tokens(piece(4, 50), piece(4, 78)), 16)
    begin = windows.spread(2)
    moved = windows.rows(begin, np.array([5, 5]))
    low, high = ([WORDS[token] for token in row if WORDS[token].startswith("Pitch")] for row in moved)
    assert set(low) == {"Pitch_42", "Pitch_55"}
    assert set(high) == {"Pitch_42", "Pitch_78"}


def test_the_genre_and_padding_are_not_guessed() -> None:
    windows = Windows(tokens(piece(1, 50)), 12)
    read, target = pairs(windows.rows(np.array([0])), windows.pad, torch.device("cpu"))
    assert target[0].tolist() == [IGNORED, *piece(1, 50), IGNORED, IGNORED, IGNORED]
    assert read[0, :2].tolist() == [NUMBER["BOS_None"], NUMBER["Genre_jazz"]]


def test_an_epoch_is_the_same_again_and_another_one_another() -> None:
    windows = Windows(tokens(piece(8, 50), piece(8, 60)), 16)
    config = GptConfig(windows=12, batch=4, hide_genre=0.5)
    one, again, other = (GptEpoch(windows, config, epoch, torch.device("cpu")) for epoch in (0, 0, 1))
    assert len(one) == 3
    assert all(torch.equal(one.batch(i)[0], again.batch(i)[0]) for i in range(3))
    assert not all(torch.equal(one.batch(i)[0], other.batch(i)[0]) for i in range(3))
    told = torch.cat([one.batch(i)[0][:, 1] for i in range(3)])
    assert set(told.tolist()) == {NUMBER["PAD_None"], NUMBER["Genre_jazz"]}


def test_it_is_llama_weight_for_weight() -> None:
    transformers = pytest.importorskip("transformers", reason="Hugging Face's transformers are not installed")
    torch.manual_seed(0)
    shape = GptShape(vocabulary=50, width=48, layers=2, heads=4, key_heads=2, hidden=64)
    ours = GptNetwork(shape).eval()
    theirs = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=50, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
            intermediate_size=64, tie_word_embeddings=True, rms_norm_eps=1e-6,
        )
    ).eval()  # fmt: skip
    names = {
        "query": "self_attn.q_proj", "key": "self_attn.k_proj", "value": "self_attn.v_proj",
        "output": "self_attn.o_proj", "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
        "attention_norm": "input_layernorm", "hidden_norm": "post_attention_layernorm",
    }  # fmt: skip
    state = {"model.embed_tokens.weight": ours.embed.weight, "lm_head.weight": ours.embed.weight}
    state["model.norm.weight"] = ours.norm.weight
    for i, block in enumerate(ours.blocks):
        for name, their in names.items():
            state[f"model.layers.{i}.{their}.weight"] = getattr(block, name).weight
    theirs.load_state_dict(state)
    read = torch.randint(0, 50, (2, 30))
    with torch.inference_mode():
        assert (ours(read) - theirs(read).logits).abs().max() < 1e-5


def prepared(folder: Path, *, damaged: bool = False) -> Path:
    """A data set of four pieces to learn from, one of them non-commercial, and one to judge by."""
    (folder / "tokens").mkdir(parents=True)
    (folder / NAMES_FILE).write_text(json.dumps(WORDS))
    index, manifest = [], []
    for i, (split, nc) in enumerate([("train", False)] * 3 + [("train", True), ("validation", False)]):
        own = np.array([NUMBER["BOS_None"], NUMBER["Genre_jazz"], *piece(6, 50 + i)], np.uint16)
        if not (damaged and i == 0):
            np.save(folder / "tokens" / f"{i}.npy", own)
        index.append(Row(f"{i}.mid", "jazz", "", "ours", "CC0-1.0", nc, "", split, str(i), False, True, 12, 6, 9.0))
        manifest.append(TokenRow(f"{i}.mid", "jazz", split, f"tokens/{i}.npy", len(own), False))
    write_rows(folder / INDEX_FILE, Row, index)
    write_rows(folder / MANIFEST_FILE, TokenRow, manifest)
    return folder


def test_missing_files_are_counted_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = prepared(tmp_path / "data", damaged=True)
    assert len(read_tokens(data, "train", nc=True)) == 3
    assert "1 files of train are missing or damaged" in capsys.readouterr().err
    assert len(read_tokens(data, "train", nc=False)) == 2
    with pytest.raises(SidemanError, match="no tokens of test"):
        read_tokens(data, "test", nc=True)


def test_a_training_leaves_a_checkpoint_and_goes_on(tmp_path: Path) -> None:
    data, run = prepared(tmp_path / "data"), tmp_path / "run"
    config = changed(PRESETS["seed"], SMALL)
    train(data, config, run, "cpu")
    network, table = load_checkpoint(run)
    assert table["vocabulary"] == list(WORDS)
    assert table["sources"] == [{"name": "ours", "licence": "CC0-1.0", "pieces": 3}]
    assert (run / "log.csv").read_text().startswith("epoch,step,minutes,train_loss,loss,perplexity")
    with pytest.raises(SidemanError, match="holds a training already"):
        train(data, config, run, "cpu")
    windows = Windows(read_tokens(data, "validation", nc=True), config.sequence)
    batch = pairs(windows.rows(windows.spread(1)), windows.pad, torch.device("cpu"))
    before = float(loss_of(network, batch).detach())
    train(data, changed(config, ["epochs=12"]), run, "cpu", resume=True)
    assert float(loss_of(load_checkpoint(run)[0], batch).detach()) < before
    with pytest.raises(SidemanError, match="other settings"):
        train(data, changed(config, ["width=48"]), run, "cpu", resume=True)
    (data / NAMES_FILE).write_text(json.dumps([*WORDS, "Genre_blues"]))
    with pytest.raises(SidemanError, match="another vocabulary"):
        train(data, config, run, "cpu", resume=True)


def test_weights_of_another_vocabulary_are_named(tmp_path: Path) -> None:
    data, run = prepared(tmp_path / "data"), tmp_path / "run"
    train(data, changed(PRESETS["seed"], SMALL), run, "cpu")
    state = torch.load(run / BEST, weights_only=True)
    state["embed.weight"] = state["embed.weight"][:-1]
    torch.save(state, run / BEST)
    with pytest.raises(SidemanError, match=f"vocabulary of {len(WORDS) - 1} tokens"):
        load_checkpoint(run)


@pytest.mark.parametrize(
    ("setting", "says"), [("heads=5", "even parts"), ("wings=2", "there is no wings"), ("decay=3.0", "from 0 to 1"),
                          ("transpose=perhaps", "is no bool"), ("batch=0", "from 1 on")]
)  # fmt: skip
def test_wrong_settings_are_named(setting: str, says: str) -> None:
    with pytest.raises(SidemanError, match=says):
        changed(PRESETS["seed"], [setting])


def test_other_hparams_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SidemanError, match="cannot be read"):
        read_hparams(tmp_path)
    (tmp_path / "hparams.json").write_text('{"model": "chain"}')
    with pytest.raises(SidemanError, match="no training of remi"):
        read_hparams(tmp_path)
    (tmp_path / "hparams.json").write_text('{"model": "remi", "config": {"wings": 2}}')
    with pytest.raises(SidemanError, match="train again"):
        read_hparams(tmp_path)
