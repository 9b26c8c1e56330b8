"""Templates with which not every prompt begins with the previous one and the output after it, turn by turn.

A row is the run without reasoning and, if the family has reasoning, the run with it; the letters are those of `agent.Break`,
and `agent.REASONS` explains them.
"""

EXCEPTIONS = {
    "llama.cpp/Apertus-8B-Instruct": ".PP..P. .HH..H.",
    "llama.cpp/Apriel-1.6-15b-Thinker-fixed": "PPPPPPP HHHHHHH",
    "llama.cpp/Bielik-11B-v3.0-Instruct": ".PP..P. .HH..H.",
    "llama.cpp/Cohere2MoE": "PPPPPPP ..F....",
    "llama.cpp/CohereForAI-c4ai-command-r-plus-tool_use": "PPPPPPP",
    "llama.cpp/CohereForAI-c4ai-command-r7b-12-2024-tool_use": "P.FPPPP H.FHHHH",
    "llama.cpp/GLM-4.6": "....... ...R.HH",
    "llama.cpp/GigaChat3.1-10B-A1.8B": ".FF.F..",
    "llama.cpp/Kimi-K2-Thinking": "FFFFFFF HHHHHHH",
    "llama.cpp/Kimi-K3": ".FF.... .FF....",
    "llama.cpp/LFM2.5-8B-A1B": "F...... F......",
    "llama.cpp/MiniMax-M1": ".FF.... .HH....",
    "llama.cpp/MiniMax-M2": "....... ...R.RH",
    "llama.cpp/Mistral-Small-3.2-24B-Instruct-2506": "T..TTTT",
    "llama.cpp/NVIDIA-Nemotron-Nano-v2": "PPPPPPP HHHHHHH",
    "llama.cpp/NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": ".PP..P.",
    "llama.cpp/NousResearch-Hermes-3-Llama-3.1-8B-tool_use": ".PP..P.",
    "llama.cpp/Qwen-QwQ-32B": "PPPPPPP HHHHHHH",
    "llama.cpp/Qwen-Qwen3-0.6B": "....... ...R.HH",
    "llama.cpp/Qwen3.5-4B": "...R.RP ...R.RH",
    "llama.cpp/Reka-Edge": "F...... F.RH.RH",
    "llama.cpp/StepFun3.5-Flash": "...R.RP ...R.RH",
    "llama.cpp/deepseek-ai-DeepSeek-R1-Distill-Llama-8B": "PPPPPPP HHHHHHH",
    "llama.cpp/deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": "PPPPP.P HHHHHHH",
    "llama.cpp/deepseek-ai-DeepSeek-V3.1": "....... HHHHHHH",
    "llama.cpp/deepseek-ai-DeepSeek-V3.2": "PPPPPPP ..RH.RH",
    "llama.cpp/google-gemma-4-31B-it": "PP.PPPP H..RHHH",
    "llama.cpp/google-gemma-4-31B-it-interleaved": "PPPPPPP H..RHHH",
    "llama.cpp/llama-cpp-deepseek-r1": "PPPPPPP HHHHHHH",
    "llama.cpp/llama-cpp-rwkv-world": "PPPPPPP HHHHHHH",
    "llama.cpp/mistralai-Mistral-Nemo-Instruct-2407": "TFFTTTT",
    "llama.cpp/muse-glimmer": "F...F.. F...F..",
    "llama.cpp/openai-gpt-oss-120b": "FFFRFP. FFFRFHH",
    "llama.cpp/openbmb-MiniCPM5-1B": "....... ...R.RH",
    "llama.cpp/poolside-Laguna-S-2.1": "PPPPPPP .......",
    "llama.cpp/tencent-Hy3": "FFF.F.. FFFFFFF",
    "llama.cpp/unsloth-Apriel-1.5": "FFF.F.. FFF.F..",
    "llama.cpp/upstage-Solar-Open-100B": "FFFFFFF",
    "trl/deepseek_r1_distill": "PPPPPPP HHHHHHH",
    "trl/deepseekv3": "PPPPPFP HHHHH.H",
    "trl/deepseekv3_training": "PPPPPFP HHHHH.H",
    "trl/diffusion_gemma": "..F.... H.HHHHH",
    "trl/diffusion_gemma_training": "..F.... H.HHHHH",
    "trl/gemma4": "....... H..RHHH",
    "trl/gemma4_v2": "....... HHHHHHH",
    "trl/gemma4_v3": "....... H..RHHH",
    "trl/gemma4_v4": "....... H..RHHH",
    "trl/gemma4_v5": "....... H..HHHH",
    "trl/glm4moe": "....... ...R.HH",
    "trl/glm4moe_training": "....... ...R.HH",
    "trl/gptoss": "FFFRFP. FFFRFHH",
    "trl/gptoss_training": "FFFRFP. FFFRFHH",
    "trl/lfm2_2_5": "F...... F......",
    "trl/lfm2_2_5_v2": "F...... F......",
    "trl/muse_glimmer": "F...F.. F...F..",
    "trl/muse_glimmer_training": "F...F.. F...F..",
    "trl/qwen3": "....... ...R.HH",
    "trl/qwen3_5_nothink": "...R.RP ...R.RH",
    "trl/qwen3_5_think": "...R.RP ...R.RH",
}

DATED = {
    "llama.cpp/Apertus-8B-Instruct",
    "llama.cpp/Mistral-Small-3.2-24B-Instruct-2506",
    "llama.cpp/ibm-granite-granite-3.3-2B-Instruct",
    "llama.cpp/meta-llama-Llama-3.2-3B-Instruct",
    "llama.cpp/muse-glimmer",
    "llama.cpp/openai-gpt-oss-120b",
    "llama.cpp/upstage-Solar-Open-100B",
    "trl/gptoss",
    "trl/gptoss_training",
    "trl/llama3_2",
    "trl/muse_glimmer",
    "trl/muse_glimmer_training",
}
"""They print the date: once a day, the whole prompt is processed again."""

WORDS_LOST = {"llama.cpp/openai-gpt-oss-120b", "trl/gptoss", "trl/gptoss_training"}
"""They render text beside a call as reasoning, and drop that after the next answer."""

ESCAPED = {"llama.cpp/Reka-Edge"}
"""It escapes characters that are not ASCII."""
