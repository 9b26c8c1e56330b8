"""The families, one short file each. `ALL` is the whole list; nothing is found by magic."""

from dragoman.dialects.families.apriel import APRIEL
from dragoman.dialects.families.ernie_4_5 import ERNIE_4_5
from dragoman.dialects.families.exaone4 import EXAONE4
from dragoman.dialects.families.granite_4 import GRANITE_4
from dragoman.dialects.families.granite_20b_fc import GRANITE_20B_FC
from dragoman.dialects.families.hermes import HERMES
from dragoman.dialects.families.hunyuan_a13b import HUNYUAN_A13B
from dragoman.dialects.families.jamba import JAMBA
from dragoman.dialects.families.longcat import LONGCAT
from dragoman.dialects.families.nemotron_nano_v2 import NEMOTRON_NANO_V2
from dragoman.dialects.families.qwen3 import QWEN3
from dragoman.dialects.families.qwq import QWQ
from dragoman.dialects.families.smollm3 import SMOLLM3

ALL = (
    APRIEL,
    ERNIE_4_5,
    EXAONE4,
    GRANITE_20B_FC,
    GRANITE_4,
    HERMES,
    HUNYUAN_A13B,
    JAMBA,
    LONGCAT,
    NEMOTRON_NANO_V2,
    QWEN3,
    QWQ,
    SMOLLM3,
)
