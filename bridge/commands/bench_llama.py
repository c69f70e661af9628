"""Another library's way of making tokens, for `sideman bench notes`: Hugging Face's generate, on a bundle's weights.

Run as `python -m bridge.commands.bench_llama GRAPH.onnx TOKENS`; prints JSON, and in it what the model says after these
tokens. The flat GPT is weight for weight a
LlamaForCausalLM (offline/notes/gpt/network.py), so its exported graph, int8 or not, is read back into one.
"""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.float32]]

CONTEXT, MADE = 896, 128
"""Tokens that are there, and that are generated after them."""
LONG, RUNS = 1024, 5
"""The seed's way: tokens that are computed again for each new one; of how many the median is taken."""

_LAYER = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
          "mlp.up_proj", "mlp.down_proj")  # fmt: skip


_NUMBER = re.compile(r"\D")


def main() -> None:
    """Measure, print."""
    import torch

    torch.set_num_threads(1)
    model = llama_of(Path(sys.argv[1]))
    random = np.random.default_rng(0)
    tokens = torch.from_numpy(random.integers(3, model.config.vocab_size, (1, LONG)))
    whole_s = _generated_s(model, tokens[:, :CONTEXT], MADE) - _generated_s(model, tokens[:, :CONTEXT], 1)
    with torch.inference_mode():
        took_s = []
        for _ in range(RUNS):
            before_s = time.perf_counter()
            model(tokens, use_cache=False)
            took_s.append(time.perf_counter() - before_s)
        said = model(torch.tensor([json.loads(sys.argv[2])])).logits[0, -1]
    print(
        json.dumps({"tokens_s": (MADE - 1) / whole_s, "uncached_s": sorted(took_s)[RUNS // 2], "said": said.tolist()})
    )


def llama_of(graph: Path) -> Any:
    """The LlamaForCausalLM of an exported step graph, in evaluation mode."""
    import onnx
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    file = onnx.load(str(graph))
    buffer = next(each for each in file.graph.input if each.name == "key0").type.tensor_type.shape.dim
    weights = weights_of(file)
    layers = sum(name.endswith("q_proj.weight") for name in weights)
    width, vocabulary = weights["lm_head.weight"].shape[1], len(weights["lm_head.weight"])
    size = buffer[3].dim_value
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // size,
        num_key_value_heads=buffer[1].dim_value, head_dim=size, max_position_embeddings=2 * LONG,
        intermediate_size=len(weights["model.layers.0.mlp.up_proj.weight"]), tie_word_embeddings=False,
        rms_norm_eps=1e-6, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return model.eval()


def weights_of(file: Any) -> Weights:
    """An exported graph's weights by Llama's names; int8 ones are multiplied out.

    The graph names embeddings and norms as the network does, and numbers its products in the order of the network.
    """
    from onnx import numpy_helper

    tensors = {each.name: numpy_helper.to_array(each) for each in file.graph.initializer}
    numbered = {}
    for node in file.graph.node:
        name = node.input[1] if node.op_type in ("MatMul", "MatMulInteger") else ""
        if name in tensors:
            product = tensors[name]
            if node.op_type == "MatMulInteger":
                scale, zero = (tensors[name.replace("_quantized", f"_{kind}")] for kind in ("scale", "zero_point"))
                product = (product.astype(np.float32) - zero.astype(np.float32)) * scale
            numbered[int(_NUMBER.sub("", node.output[0]) or 0)] = product
    products = [product for _, product in sorted(numbered.items())]
    if len(products) % len(_LAYER) == 0:  # in fp32 the last product is with the embedding itself
        products.append(tensors["network.embed.weight"].T)
    weights = {"model.embed_tokens.weight": tensors["network.embed.weight"]}
    weights["model.norm.weight"] = tensors["network.norm.weight"]
    for layer in range(len(products) // len(_LAYER)):
        for name, product in zip(_LAYER, products[len(_LAYER) * layer :], strict=False):
            weights[f"model.layers.{layer}.{name}.weight"] = product.T
        for name, own in (("input_layernorm", "attention_norm"), ("post_attention_layernorm", "hidden_norm")):
            weights[f"model.layers.{layer}.{name}.weight"] = tensors[f"network.blocks.{layer}.{own}.weight"]
    weights["lm_head.weight"] = products[-1].T
    return {name: np.array(array, np.float32) for name, array in weights.items()}


def _generated_s(model: Any, tokens: Any, count: int) -> float:
    """Seconds of generating so many tokens, sampled, with its cache."""
    before_s = time.perf_counter()
    model.generate(tokens, max_new_tokens=count, min_new_tokens=count, do_sample=True, top_k=0)
    return time.perf_counter() - before_s


if __name__ == "__main__":
    main()
