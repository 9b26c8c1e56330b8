"""The dialects of the model families, one short file each; `ALL` lists every one of them."""

from dragoman.dialects.families.apertus import APERTUS
from dragoman.dialects.families.apriel import APRIEL
from dragoman.dialects.families.command_a_plus_xml import COMMAND_A_PLUS_XML
from dragoman.dialects.families.command_r import COMMAND_A_2026, COMMAND_R7B, COMMAND_R_PLUS
from dragoman.dialects.families.deepseek import DEEPSEEK_R1, DEEPSEEK_V3_1
from dragoman.dialects.families.deepseek_v3_2 import DEEPSEEK_V3_2
from dragoman.dialects.families.deepseek_v4 import DEEPSEEK_V4
from dragoman.dialects.families.ernie_4_5 import ERNIE_4_5
from dragoman.dialects.families.exaone4 import EXAONE4
from dragoman.dialects.families.firefunction_v2 import FIREFUNCTION_V2
from dragoman.dialects.families.functionary import FUNCTIONARY, FUNCTIONARY_3_1
from dragoman.dialects.families.functiongemma import FUNCTIONGEMMA
from dragoman.dialects.families.gemma3 import GEMMA3
from dragoman.dialects.families.gemma4 import GEMMA4
from dragoman.dialects.families.gigachat3 import GIGACHAT3
from dragoman.dialects.families.glm_4_5 import GLM_4_5
from dragoman.dialects.families.glm_4_7 import GLM_4_7
from dragoman.dialects.families.gpt_oss import GPT_OSS
from dragoman.dialects.families.granite_3 import GRANITE_3
from dragoman.dialects.families.granite_4 import GRANITE_4
from dragoman.dialects.families.granite_20b_fc import GRANITE_20B_FC
from dragoman.dialects.families.hermes import HERMES
from dragoman.dialects.families.hunyuan_a13b import HUNYUAN_A13B
from dragoman.dialects.families.hy_v3 import HY_V3
from dragoman.dialects.families.internlm import INTERNLM2, INTERNS1
from dragoman.dialects.families.jamba import JAMBA
from dragoman.dialects.families.kimi_k2 import KIMI_K2
from dragoman.dialects.families.kimi_k3 import KIMI_K3
from dragoman.dialects.families.lfm2 import LFM2
from dragoman.dialects.families.lfm2_5 import LFM2_5
from dragoman.dialects.families.ling3 import LING3
from dragoman.dialects.families.llama3_2_pythonic import LLAMA3_2_PYTHONIC
from dragoman.dialects.families.llama3_json import LLAMA3_JSON
from dragoman.dialects.families.llama4_pythonic import LLAMA4_PYTHONIC
from dragoman.dialects.families.longcat import LONGCAT
from dragoman.dialects.families.minicpm5 import MINICPM5
from dragoman.dialects.families.minimax_m2 import MINIMAX_M2
from dragoman.dialects.families.minimax_m3 import MINIMAX_M3
from dragoman.dialects.families.mistral import MAGISTRAL, MINISTRAL3, MISTRAL_V3, MISTRAL_V11
from dragoman.dialects.families.muse_glimmer import MUSE_GLIMMER
from dragoman.dialects.families.nemotron_3 import NEMOTRON_3
from dragoman.dialects.families.nemotron_nano_v2 import NEMOTRON_NANO_V2
from dragoman.dialects.families.olmo3 import OLMO3
from dragoman.dialects.families.phi_4_mini import PHI_4_MINI
from dragoman.dialects.families.qwen3 import QWEN3
from dragoman.dialects.families.qwen3_5 import QWEN3_5
from dragoman.dialects.families.qwen3_coder import QWEN3_CODER
from dragoman.dialects.families.qwq import QWQ
from dragoman.dialects.families.seed_oss import SEED_OSS
from dragoman.dialects.families.smollm3 import SMOLLM3
from dragoman.dialects.families.step3 import STEP3
from dragoman.dialects.families.step3_5 import STEP3_5
from dragoman.dialects.families.xlam import XLAM

ALL = (
    APERTUS,
    APRIEL,
    COMMAND_A_2026,
    COMMAND_A_PLUS_XML,
    COMMAND_R7B,
    COMMAND_R_PLUS,
    DEEPSEEK_R1,
    DEEPSEEK_V3_1,
    DEEPSEEK_V3_2,
    DEEPSEEK_V4,
    ERNIE_4_5,
    EXAONE4,
    FIREFUNCTION_V2,
    FUNCTIONARY,
    FUNCTIONARY_3_1,
    FUNCTIONGEMMA,
    GEMMA3,
    GEMMA4,
    GIGACHAT3,
    GLM_4_5,
    GLM_4_7,
    GPT_OSS,
    GRANITE_20B_FC,
    GRANITE_3,
    GRANITE_4,
    HERMES,
    HUNYUAN_A13B,
    HY_V3,
    INTERNLM2,
    INTERNS1,
    JAMBA,
    KIMI_K2,
    KIMI_K3,
    LFM2,
    LFM2_5,
    LING3,
    LLAMA3_2_PYTHONIC,
    LLAMA3_JSON,
    LLAMA4_PYTHONIC,
    LONGCAT,
    MINICPM5,
    MINIMAX_M2,
    MINIMAX_M3,
    MINISTRAL3,
    MAGISTRAL,  # after Ministral 3: both write the same, and detection then takes the first of the two
    MISTRAL_V11,
    MISTRAL_V3,
    MUSE_GLIMMER,
    NEMOTRON_3,
    NEMOTRON_NANO_V2,
    OLMO3,
    PHI_4_MINI,
    QWEN3,
    QWEN3_5,
    QWEN3_CODER,
    QWQ,
    SEED_OSS,
    SMOLLM3,
    STEP3,
    STEP3_5,
    XLAM,
)
