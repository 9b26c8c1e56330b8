"""The dialects of real templates, determined by hand from the templates and from publications about their models.

A training copy has the dialect of its original. Models without a dialect of their own are listed under the dialect that reads
their calls back exactly.
"""

DECODED = {
    "apertus": ["llama.cpp/Apertus-8B-Instruct"],
    "apriel": ["llama.cpp/Apriel-1.6-15b-Thinker-fixed", "llama.cpp/unsloth-Apriel-1.5"],
    "command-a-2026": ["llama.cpp/Cohere2MoE"],
    "command-r-plus": ["llama.cpp/CohereForAI-c4ai-command-r-plus-tool_use"],
    "command-r7b": ["llama.cpp/CohereForAI-c4ai-command-r7b-12-2024-tool_use"],
    "deepseek-r1": [
        "llama.cpp/deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
        "llama.cpp/deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
        "llama.cpp/llama-cpp-deepseek-r1",
        "trl/deepseek_r1_distill",
        "trl/deepseekv3",
    ],
    "deepseek-v3.1": ["llama.cpp/deepseek-ai-DeepSeek-V3.1"],
    "deepseek-v3.2": ["llama.cpp/deepseek-ai-DeepSeek-V3.2"],
    "deepseek-v4": ["llama.cpp/deepseek-ai-DeepSeek-V4", "llama.cpp/deepseek-ai-DeepSeek-V4-Flash-0731"],
    "firefunction-v2": ["llama.cpp/fireworks-ai-llama-3-firefunction-v2"],
    "functionary": ["llama.cpp/meetkai-functionary-medium-v3.2"],
    "functionary-3.1": ["llama.cpp/meetkai-functionary-medium-v3.1"],
    "gemma4": [
        "llama.cpp/google-gemma-4-31B-it",
        "llama.cpp/google-gemma-4-31B-it-interleaved",
        "trl/diffusion_gemma",
        "trl/gemma4",
        "trl/gemma4_v2",
        "trl/gemma4_v3",
        "trl/gemma4_v4",
        "trl/gemma4_v5",
    ],
    "gigachat3": ["llama.cpp/GigaChat3-10B-A1.8B", "llama.cpp/GigaChat3.1-10B-A1.8B"],
    "glm-4.5": [
        "llama.cpp/GLM-4.6",
        "trl/glm4moe",
        "llama.cpp/poolside-Laguna-XS-2.1",
        "llama.cpp/poolside-Laguna-XS.2",
    ],
    "glm-4.7": ["llama.cpp/GLM-4.7-Flash", "llama.cpp/Spark2.5", "llama.cpp/poolside-Laguna-S-2.1"],
    "gpt-oss": ["llama.cpp/openai-gpt-oss-120b", "trl/gptoss"],
    "granite-4": ["llama.cpp/ibm-granite-granite-4.0", "llama.cpp/ibm-granite-granite-4.1"],
    "hermes": [
        "llama.cpp/MiMo-VL",
        "llama.cpp/NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
        "llama.cpp/NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
        "llama.cpp/Qwen-Qwen2.5-7B-Instruct",
        "trl/qwen2_5",
        "trl/qwen3_instruct_2507",  # these two do not reason, and their templates have no reasoning
        "trl/qwen3_vl",
    ],
    "hy-v3": ["llama.cpp/tencent-Hy3"],
    "jamba": ["llama.cpp/MiniMax-M1"],  # has no dialect of its own: its objects, one per line, are read as arrays of one
    "kimi-k2": ["llama.cpp/moonshotai-Kimi-K2"],
    "kimi-k3": ["llama.cpp/Kimi-K3"],
    "lfm2": ["trl/lfm2_v2"],
    "lfm2.5": ["llama.cpp/LFM2.5-8B-A1B", "trl/lfm2_2_5", "trl/lfm2_2_5_v2", "trl/lfm2_2_5_vl"],
    "ling3": ["llama.cpp/inclusionai-ling-3.0-flash"],
    "llama3-json": [
        "llama.cpp/meta-llama-Llama-3.1-8B-Instruct",
        "llama.cpp/meta-llama-Llama-3.2-3B-Instruct",
        "llama.cpp/meta-llama-Llama-3.3-70B-Instruct",
        "trl/llama3_1",
        "trl/llama3_2",
    ],
    "minicpm5": ["llama.cpp/openbmb-MiniCPM5-1B"],
    "minimax-m2": ["llama.cpp/MiniMax-M2"],
    "minimax-m3": ["llama.cpp/MiniMax-M3"],
    "ministral3": [
        "llama.cpp/mistralai-Ministral-3-14B-Reasoning-2512",
        "llama.cpp/unsloth-mistral-Devstral-Small-2507",  # the same tokenizer's calls, and no thoughts
    ],
    "mistral-v11": ["llama.cpp/Mistral-Small-3.2-24B-Instruct-2506"],
    "mistral-v3": ["llama.cpp/mistralai-Mistral-Nemo-Instruct-2407"],
    "muse-glimmer": ["llama.cpp/muse-glimmer", "trl/muse_glimmer"],
    "nemotron-3": [
        "llama.cpp/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",
        "trl/nemotron_3_5_lightning",
        "trl/nemotron_3_nano",
        "trl/nemotron_3_super",
        "trl/nemotron_3_ultra",
    ],
    "nemotron-nano-v2": ["llama.cpp/NVIDIA-Nemotron-Nano-v2"],
    "qwen3": [
        "llama.cpp/Qwen-Qwen3-0.6B",
        "trl/qwen3",
        "llama.cpp/Bielik-11B-v3.0-Instruct",
        "llama.cpp/Reka-Edge",
    ],
    "qwen3-coder": ["llama.cpp/Qwen3-Coder"],
    "qwen3.5": [
        "llama.cpp/Qwen3.5-4B",
        "trl/qwen3_5_nothink",
        "trl/qwen3_5_think",
        "trl/qwen3_6",
        "trl/qwen3_8",
    ],
    "qwq": ["llama.cpp/Qwen-QwQ-32B"],
    "seed-oss": ["llama.cpp/ByteDance-Seed-OSS"],
    "step3.5": ["llama.cpp/StepFun3.5-Flash"],
}
"""Templates whose calls are read back."""

HINTED = {
    "command-r7b": ["trl/cohere2"],
    "gemma3": ["trl/gemma3"],
    "granite-3": ["llama.cpp/ibm-granite-granite-3.3-2B-Instruct"],
    "kimi-k2": [
        "llama.cpp/Kimi-K2-Instruct",
        "llama.cpp/Kimi-K2-Thinking",
    ],  # to print calls they change a list, which is forbidden
    "lfm2": ["llama.cpp/LFM2-8B-A1B", "trl/lfm2"],
    "lfm2.5": ["llama.cpp/LFM2.5-Instruct"],
    "smollm3": ["llama.cpp/HuggingFaceTB-SmolLM3-3B"],
}
"""Templates that print no calls, but hold hints of a dialect."""

GENERIC = [
    "llama.cpp/google-gemma-2-2b-it",
    "llama.cpp/llama-cpp-rwkv-world",
    "llama.cpp/microsoft-Phi-3.5-mini-instruct",
    "trl/cohere",
    "trl/gemma",
    "trl/idefics3",
    "trl/llama3",
    "trl/llava_next",
    "trl/phi3",
    "trl/phi3_5",
    "trl/qwen2_5_vl",
    "trl/smolvlm",
]
"""Templates that print no calls and hold no hints."""

UNREADABLE = ["llama.cpp/upstage-Solar-Open-100B"]
"""Templates that print calls of an unknown dialect."""


def expected(name: str) -> tuple[str, str]:
    """The dialect of a template, and the way in which it is detected, without the details."""
    original = name.removesuffix("_training")
    for found, dialects in (("decoded back", DECODED), ("hint", HINTED)):
        for dialect, names in dialects.items():
            if original in names:
                return dialect, found
    assert original in GENERIC + UNREADABLE, f"the dialect of {name} is not listed yet"
    return "qwen3", "generic"
